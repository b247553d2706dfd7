from .beam import beam_search as beam_search
from .greedy import greedy_search as greedy_search
from .greedy import length_penalty as length_penalty
from .model import Searches as Searches
from .model import make_search as make_search
