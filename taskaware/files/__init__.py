"""Files that are read strictly and written whole or not at all, and outputs written as text.

Reading order: lock ← whole ← digests ← strict_json ← tensors ← segments.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
