"""FiLM and Task Characteristics Networks: JAX and Flax, and no other folder of this package."""

from taskaware.modulation.adapter import Adapter as Adapter
from taskaware.modulation.adapter import adapt as adapt
from taskaware.modulation.bake import bake as bake
from taskaware.modulation.film import FiLM as FiLM
from taskaware.modulation.film import Modulation as Modulation
from taskaware.modulation.film import TCNParam as TCNParam
from taskaware.modulation.film import film as film
from taskaware.modulation.graft import GraftParam as GraftParam
from taskaware.modulation.graft import bind as bind
from taskaware.modulation.graft import graft as graft
from taskaware.modulation.graft import places_of as places_of
from taskaware.modulation.graft import ungraft as ungraft
from taskaware.modulation.places import Places as Places
from taskaware.modulation.places import modulate as modulate
from taskaware.modulation.tcn import ExplicitTCN as ExplicitTCN
from taskaware.modulation.tcn import ImplicitTCN as ImplicitTCN
from taskaware.modulation.tcn import bidirectional_attention as bidirectional_attention
from taskaware.modulation.tcn import derangement as derangement
