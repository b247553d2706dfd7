"""Models that were made elsewhere, read from the files of their own libraries.

Reading order: whisper.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
