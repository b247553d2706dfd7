"""Losses, steps and the loop, without files but for checkpoints.

Reading order: state ← optimizer ← objective ← joint ← maml ← compiling ← loop ← strategy ←
checkpoint.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
