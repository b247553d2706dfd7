from .whisper import Whisper as Whisper
from .whisper import WhisperConfig as WhisperConfig
from .whisper import load_whisper as load_whisper
