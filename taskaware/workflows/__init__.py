"""Work that takes several steps: adding a task, pseudo-labels, sharing, dry runs, the quickstart.

Reading order: addition ← pseudo_labels ← sharing ← rehearsal ← first_run.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
