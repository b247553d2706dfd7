from .base import Corpus as Corpus
from .base import Example as Example
from .base import PreparedCorpus as PreparedCorpus
from .toy import Toy as Toy
from .write import prepare as prepare
from .write import prepare_corpus as prepare_corpus
