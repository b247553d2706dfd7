from .augment import spec_augment as spec_augment
from .features import log_mel as log_mel
from .features import normalize as normalize
from .features import num_frames as num_frames
from .recording import Recording as Recording
from .recording import read_audio as read_audio
