"""Metrics of outputs against references.

Reading order: base ← normalizers ← texts ← labels ← spans ← timelines ← numbers ← verification ←
by_name ← task_confusion.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
