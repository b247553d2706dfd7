from .task_confusion import confusion as confusion
from .task_confusion import other_language_share as other_language_share
from .texts import Score as Score
from .texts import bleu as bleu
from .texts import cer as cer
from .texts import measure_of as measure_of
from .texts import normalize_transcript as normalize_transcript
from .texts import wer as wer
