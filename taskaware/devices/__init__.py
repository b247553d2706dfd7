"""The machine, its processes and devices, and how arrays are placed on them.

Reading order: signals ← machine ← processes ← sharding.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
