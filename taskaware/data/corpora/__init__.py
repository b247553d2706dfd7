"""Readers of corpora, one file per corpus, and the prepared format that all are converted to.

Reading order: base ← missing ← segments ← tables ← labelled ← write ← summary ← augmented ←
filtered ← toy ← commonvoice ← librispeech ← europarl_st ← mustc ← parallel ← tedlium ← folder ←
manifest.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
