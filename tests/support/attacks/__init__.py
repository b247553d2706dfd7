"""All attacks by kind and name."""

from support.attacks.audio import AUDIO
from support.attacks.lists import LISTS
from support.attacks.prepared import CORPORA
from support.attacks.settings import EXPERIMENTS, TOKENIZERS
from support.attacks.tables import TABLES

ATTACKS = {
    f"{kind}: {name}": attack
    for kind, attacks in (
        *(("experiment", EXPERIMENTS), ("tokenizer", TOKENIZERS), ("corpus", CORPORA)),
        *(("table", TABLES), ("audio", AUDIO), ("list", LISTS)),
    )
    for name, attack in attacks.items()
}
