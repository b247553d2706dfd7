from .exporting import export as export
from .model import Pretrained as Pretrained
from .model import digest as digest
from .model import from_pretrained as from_pretrained
from .vectors import TaskVector as TaskVector
from .vectors import TaskVectors as TaskVectors
