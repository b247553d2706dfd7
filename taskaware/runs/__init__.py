"""Run folders: an experiment, its training, its checkpoints.

Reading order: console ← folder ← log ← inference ← warm_start ← checkpoints ← listener ← trainer
← memory.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
