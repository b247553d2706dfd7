"""The commands by name. The command line reads it before a process imports JAX."""

from typing import Literal, NamedTuple


class Command(NamedTuple):
    """Where a command is defined, and what its process should be tuned for before it starts."""

    module: str
    kind: Literal["brief", "computes", "decodes"]
    """Nothing; long computations; or those and decoding, whose products are small."""


COMMANDS = {
    "quickstart": Command("training", "computes"),
    "prepare": Command("corpora", "brief"),
    "check": Command("corpora", "brief"),
    "vocab": Command("training", "brief"),
    "fit": Command("training", "brief"),
    "train": Command("training", "computes"),
    "add-task": Command("training", "computes"),
    "evaluate": Command("results", "decodes"),
    "decode": Command("results", "decodes"),
    "embed": Command("results", "computes"),
    "forgetting": Command("results", "decodes"),
    "share": Command("models", "brief"),
    "export": Command("models", "brief"),
    "pseudo-label": Command("models", "decodes"),
    "env": Command("training", "brief"),
}
"""By name, in the order of ``taskaware --help``; the function of a module bears the same name."""
