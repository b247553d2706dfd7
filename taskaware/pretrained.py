"""Trained models to give away: a folder that says what it is and cannot run anything.

Folder: ``config.json`` (tasks, model, digests of the other files), ``model.safetensors``,
``tokenizer.model``, ``task_vectors.json`` where the model is conditioned, ``README.md`` (a model
card). Reading one trusts nothing in it: names, shapes and dtypes must be those of the model that
the configuration describes before any weight is read, and no file names another. The extra ``hub``
is enough to load and to use one; nothing of training is imported.
"""

import dataclasses
import hashlib
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, assert_never

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Int16

from taskaware.config import Decoding, Model, Task
from taskaware.data.features import log_mel, normalize
from taskaware.data.tokenizer import Tokenizer
from taskaware.decode import make_search
from taskaware.digests import sha256
from taskaware.dims import EOS, PAD, Batch, Speech
from taskaware.errors import RunError, UsageError, require_known
from taskaware.model.build import abstract_for
from taskaware.model.seq2seq import Seq2Seq
from taskaware.modulation.tcn import ExplicitTCN, ImplicitTCN, TaskTokens
from taskaware.strict_json import load, to_json
from taskaware.task_vectors import TaskVector, TaskVectors
from taskaware.tensors import read_tensors, tensor_names, to_bytes

FORMAT = 1
_CONFIG, _WEIGHTS, _TOKENIZER, _VECTORS, _CARD = FILES = (
    *("config.json", "model.safetensors", "tokenizer.model", "task_vectors.json", "README.md"),
)
_FRAMES, _TOKENS = 32, 4
"""Lengths are rounded up to these, so that similar inputs share a compiled search."""


@dataclass(frozen=True, kw_only=True)
class _Config:
    """``config.json``: what the other files are, and the SHA-256 that they were written with."""

    format: int = FORMAT
    tasks: tuple[Task, ...]
    model: Model
    decoding: Decoding
    weights_sha256: str
    tokenizer_sha256: str
    task_vectors_sha256: str | None = None

    def __post_init__(self):
        """Raise UsageError where no task is named, or two alike."""
        names = [task.name for task in self.tasks]
        if not names or len(set(names)) != len(names):
            raise UsageError(f"tasks: expected one or more distinct names, found {names}")
        if (self.task_vectors_sha256 is None) != (self.model.conditioning == "vanilla"):
            raise UsageError("task_vectors_sha256: expected one, unless conditioning is vanilla")


class Pretrained(NamedTuple):
    """A trained model with all that is needed to use it."""

    model: Seq2Seq
    tasks: tuple[Task, ...]
    tokenizer: Tokenizer
    vectors: TaskVectors | None
    """Of each task one, by its name; None for a model without conditioning."""
    decoding: Decoding
    card: str
    """What is to be known before it is used: data, scores, limits (Markdown)."""

    def __call__(
        self,
        inputs: Sequence[str] | Sequence[Int16[np.ndarray, "..."]],
        task: str,
        vector: TaskVector | None = None,
    ) -> list[str]:
        """Return the text that the model makes of each input.

        Args:
            inputs: texts, or speech as 16 kHz mono int16 samples, whichever the task takes; those
                of one call are searched together.
            task: its name.
            vector: instead of the task's own; one that is far from all known ones is warned of.

        Raises:
            UsageError: there is no such task, or its source is another.
        """
        names = [known.name for known in self.tasks]
        require_known(task, names, "task")
        source = _source(self.tasks[names.index(task)], inputs, self.tokenizer)
        embedding_BZ = None
        if self.vectors is not None:
            if vector is not None and (doubt := self.vectors.why_doubted(vector)):
                warnings.warn(doubt, stacklevel=2)
            vector = vector or self.vectors.named(task)
            embedding_BZ = jnp.repeat(jnp.asarray(vector.array)[None], len(inputs), axis=0)
        elif vector is not None:
            raise UsageError("task vector: expected none, for this model has no conditioning")
        search = make_search(self.model, self.decoding, split=False)
        tokens_BWT = search(source, embedding_BZ)
        return [
            self.tokenizer.decode(tokens_T) for tokens_T in np.asarray(tokens_BWT)[:, 0].tolist()
        ]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that ``from_pretrained`` reads; one of an earlier model is replaced.

        Raises:
            UsageError: it holds something else, or cannot be written.
        """
        folder = Path(folder)
        contents = {
            _WEIGHTS: _weights(self.model),
            _TOKENIZER: self.tokenizer.model,
            _CARD: self.card.encode(),
        }
        if self.vectors is not None:
            contents[_VECTORS] = self.vectors.to_json().encode()
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        config = _Config(
            # Where the data lay is nobody's business and of no use elsewhere.
            tasks=tuple(dataclasses.replace(task, data=()) for task in self.tasks),
            model=self.model.config,
            decoding=self.decoding,
            weights_sha256=digests[_WEIGHTS],
            tokenizer_sha256=digests[_TOKENIZER],
            task_vectors_sha256=digests.get(_VECTORS),
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()) and not (folder / _CONFIG).exists():
                raise UsageError(f"{folder}: not empty and not a shared model; choose another one")
            (folder / _VECTORS).unlink(missing_ok=True)
            for name, content in contents.items():
                (folder / name).write_bytes(content)
            # Last: of what is half written the digests do not agree.
            (folder / _CONFIG).write_text(to_json(config), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{folder}: cannot be written ({error.strerror})") from None

    def push_to_hub(self, repo_id: str, *, private: bool = True) -> str:
        """Upload to the Hugging Face hub (extra ``hub``), as who is logged in there.

        Args:
            repo_id: owner/name, made where there is none.
            private: whether only its owner sees a new one.

        Returns:
            The commit's address.

        Raises:
            RunError: the hub refused, or cannot be reached.
        """
        hub = _hub()
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            try:
                hub.create_repo(repo_id, private=private, exist_ok=True)
                uploaded = hub.upload_folder(
                    repo_id=repo_id, folder_path=folder, allow_patterns=[*FILES]
                )
            except Exception as error:  # the network's, the hub's and Python's own
                reason = " ".join(str(error).split())
                raise RunError(f"{repo_id}: cannot be uploaded ({reason})") from error
        return str(uploaded)


def from_pretrained(
    path_or_id: str | Path, *, download: bool = False, revision: str | None = None
) -> Pretrained:
    """Load what ``save_pretrained`` or ``push_to_hub`` wrote, from whomever it comes.

    Args:
        path_or_id: a folder; or owner/name on the Hugging Face hub (extra ``hub``).
        download: ask the hub. Without, only what has been downloaded before is found.
        revision: of the hub's: a commit's hash keeps to what has been looked at.

    Raises:
        UsageError: it is not there, damaged, of another version, or not what it says.
    """
    folder = Path(path_or_id)
    if not folder.is_dir():
        folder = _from_hub(str(path_or_id), download, revision)
    config: _Config = load(_Config, folder / _CONFIG, FORMAT)
    _require_digest(folder / _WEIGHTS, config.weights_sha256)
    _require_digest(folder / _TOKENIZER, config.tokenizer_sha256)
    tokenizer, vectors = Tokenizer.load(folder / _TOKENIZER), None
    model = _read_model(folder / _WEIGHTS, config, tokenizer.size)
    if config.task_vectors_sha256 is not None:
        _require_digest(folder / _VECTORS, config.task_vectors_sha256)
        vectors = TaskVectors.load(folder / _VECTORS)
        _require_vectors_fit(folder / _VECTORS, vectors, config, model)
    card = folder / _CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    return Pretrained(model, config.tasks, tokenizer, vectors, config.decoding, text)


def digest(model: Seq2Seq) -> str:
    """Return the SHA-256 of a model's parameters: that of its ``model.safetensors``."""
    return hashlib.sha256(_weights(model)).hexdigest()


def _weights(model: Seq2Seq) -> bytes:
    """Return all parameters as safetensors."""
    flat = nnx.to_flat_state(nnx.state(model))
    return to_bytes({_name(path): np.asarray(leaf[...]) for path, leaf in flat})


def _read_model(path: Path, config: _Config, vocab_size: int) -> Seq2Seq:
    """Build the configured model around a file's weights."""
    graphdef, flat = _shapes(path, config, vocab_size, len(tensor_names(path)))
    tensors = read_tensors(path, {_name(key): leaf.shape for key, leaf in flat})
    loaded = [(key, leaf.replace(jnp.asarray(tensors[_name(key)]))) for key, leaf in flat]
    return nnx.merge(graphdef, nnx.from_flat_state(loaded))


def _shapes(path: Path, config: _Config, vocab_size: int, tensors: int) -> tuple[Any, Any]:
    """Return the configured model without values; one of absurd size is not even begun."""
    model, tasks = config.model, config.tasks
    layers = max(model.encoder_layers, model.decoder_layers, model.tcn.num_layers)
    try:
        if layers > tensors:
            raise ValueError(f"{layers} layers in {tensors} tensors")
        abstract = abstract_for(tasks, model, vocab_size)
    except Exception as error:  # whatever JAX says of shapes that cannot be
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: not the weights of config.json's model ({reason})") from None
    graphdef, params = nnx.split(abstract)
    return graphdef, nnx.to_flat_state(params)


def _require_vectors_fit(path: Path, vectors: TaskVectors, config: _Config, model: Seq2Seq) -> None:
    names, expected = [v.name for v in vectors.vectors], [task.name for task in config.tasks]
    if names != expected or vectors.model != config.weights_sha256:
        raise UsageError(
            f"{path}: expected the task vectors of {', '.join(expected)} of this model, found "
            f"those of {', '.join(names)} of {'this' if names != expected else 'another'} model"
        )
    width, found = embedding_width(model), vectors.array.shape[1]
    if found != width:
        raise UsageError(f"{path}: expected vectors of {width} numbers, found {found}")


def embedding_width(model: Seq2Seq) -> int:
    """Return Z, the width of a conditioned model's task vectors."""
    match model.tcn:
        case ExplicitTCN():
            return model.tcn.kernel_NZ.shape[1]
        case TaskTokens():
            return len(model.tcn.token_NP[0]) * model.config.d_model
        case ImplicitTCN():
            return model.tcn.head.out_features
        case None:
            return 0
        case _:
            assert_never(model.tcn)


def _require_digest(path: Path, expected: str) -> None:
    try:
        found = sha256(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); fetch it anew") from None
    if found != expected:
        raise UsageError(
            f"{path}: expected SHA-256 {expected[:64]}, found {found}; damaged or of another "
            "model: fetch it anew"
        )


def _source(task: Task, inputs: Sequence[Any], tokenizer: Tokenizer) -> Batch:
    """Return inputs as a padded batch, in the form that training gave them."""
    if not inputs or any(isinstance(one, str) != (task.source == "text") for one in inputs):
        raise UsageError(
            f"task {task.name!r}: expected one or more {task.source} inputs, found "
            f"{', '.join(sorted({type(one).__name__ for one in inputs})) or 'none'}"
        )
    nothing = np.zeros((len(inputs), 0), np.int32)
    task_B = np.zeros(len(inputs), np.int32)
    if task.source == "text":
        rows = [[*tokenizer.encode(f"{task.prefix} {text}".strip()), EOS] for text in inputs]
        source_BS = np.full((len(rows), _round_up(max(map(len, rows)), _TOKENS)), PAD, np.int32)
        for row, tokens in enumerate(rows):
            source_BS[row, : len(tokens)] = tokens
        return Batch(None, source_BS, nothing, task_B)
    frames = [normalize(log_mel(samples_A)) for samples_A in inputs]
    length_B = np.array([len(values) for values in frames], np.int32)
    if not length_B.all():
        raise UsageError("speech: expected at least 400 samples (25 ms) each, found fewer")
    widest = _round_up(int(length_B.max()), _FRAMES)
    frames_BAC = np.zeros((len(frames), widest, frames[0].shape[1]), np.float32)
    for row, values in enumerate(frames):
        frames_BAC[row, : len(values)] = values
    return Batch(Speech(frames_BAC, length_B), None, nothing, task_B)


def _from_hub(repo_id: str, download: bool, revision: str | None) -> Path:
    if repo_id.count("/") != 1 or not all(map(str.strip, repo_id.split("/"))):
        raise UsageError(f"{repo_id}: neither a folder nor owner/name on the Hugging Face hub")
    hub = _hub()
    try:
        return Path(
            hub.snapshot_download(
                repo_id,
                revision=revision,
                allow_patterns=[*FILES],
                local_files_only=not download,
            )
        )
    except Exception as error:  # the network's, the hub's and Python's own
        reason = " ".join(str(error).split())
        advice = "" if download else "; it has not been downloaded yet: download=True"
        raise UsageError(
            f"{repo_id}: no such folder, nor found on the hub{advice} ({reason})"
        ) from None


def _hub() -> Any:
    try:
        import huggingface_hub

        return huggingface_hub
    except ModuleNotFoundError:
        raise UsageError(
            'the hub: huggingface_hub is missing; pip install "taskaware[hub]"'
        ) from None


def _name(path: Sequence[Any]) -> str:
    return ".".join(map(str, path))


def _round_up(length: int, step: int) -> int:
    return -(-length // step) * step
