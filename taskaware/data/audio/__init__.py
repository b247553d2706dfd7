"""Read recordings as samples, and compute log-mel frames of samples.

Reading order: features ← streams ← containers ← mp3 ← recording ← augment.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
