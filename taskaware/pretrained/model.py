"""Trained models to share: a folder that describes itself and contains no code.

Folder: ``config.json`` (tasks, model, digests of the other files), ``model.safetensors``,
``tokenizer.model``, ``task_vectors.json`` where the model is conditioned, ``README.md`` (a model
card). Reading one trusts nothing in it: names, shapes and dtypes must be those of the model that
the configuration describes before any weight is read, and no file names another. The extra ``hub``
is enough to load and to use one; nothing of training is imported.
"""

import dataclasses
import functools
import hashlib
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from taskaware.config import Decoding, ModelConfig, Task
from taskaware.config.wiring import Inventories, Inventory, inventories_by_task
from taskaware.data.inputs import Inputs
from taskaware.data.tokenizer import Tokenizer
from taskaware.dims import FRAMES_PER_SECOND
from taskaware.errors import RunError, UsageError, require_known
from taskaware.files.digests import sha256
from taskaware.files.strict_json import load, to_json
from taskaware.files.tensors import read_tensors, tensor_names, to_bytes
from taskaware.models.building import abstract_for
from taskaware.models.seq2seq import Seq2Seq
from taskaware.pretrained.hub import from_hub, the_hub
from taskaware.pretrained.vectors import TaskVector, TaskVectors
from taskaware.search.answers import as_text, ctc_weight
from taskaware.search.model import Searches, search_bytes

FORMAT = 1
_CONFIG, _WEIGHTS, _TOKENIZER, _VECTORS, _CARD = FILES = (
    *("config.json", "model.safetensors", "tokenizer.model", "task_vectors.json", "README.md"),
)
_TOGETHER, _ALONE = 2**30, 2**32
"""Most bytes that a search of several inputs may take, and that of a longer one alone."""


@dataclass(frozen=True, kw_only=True)
class _Config:
    """``config.json``: what the other files are, and the SHA-256 that they were written with."""

    format: int = FORMAT
    tasks: tuple[Task, ...]
    model: ModelConfig
    decoding: Decoding
    weights_sha256: str
    tokenizer_sha256: str
    task_vectors_sha256: str | None = None
    max_seconds: float | None = None
    max_tokens: int | None = None
    inventories: dict[str, Inventory] = field(default_factory=dict)

    def __post_init__(self):
        """Raise UsageError on missing or repeated tasks, or on a wrong digest or limit."""
        names = [task.name for task in self.tasks]
        if not names or len(set(names)) != len(names):
            raise UsageError(f"tasks: expected one or more distinct names, found {names}")
        if (self.task_vectors_sha256 is None) != (self.model.conditioning == "vanilla"):
            raise UsageError("task_vectors_sha256: expected one, unless conditioning is vanilla")
        for limit in (self.max_seconds, self.max_tokens):
            if limit is not None and not limit > 0:
                raise UsageError(f"max_seconds, max_tokens: expected positive, found {limit}")


@dataclass(frozen=True)
class Pretrained:
    """A trained model with all that is needed to use it."""

    model: Seq2Seq
    tasks: tuple[Task, ...]
    tokenizer: Tokenizer
    vectors: TaskVectors | None
    """One per task, by the task's name; None for a model without conditioning."""
    decoding: Decoding
    card: str
    """The model card (Markdown): data, scores and limits."""
    max_seconds: float | None = None
    max_tokens: int | None = None
    """The longest speech, in seconds, and text that it was trained on; None if unknown."""
    inventories: Inventories = field(default_factory=dict)
    """What each head that does not write texts can answer, by the head's name."""

    def __call__(
        self,
        inputs: Sequence[str] | Sequence[np.ndarray] | Any,
        task: str,
        vector: TaskVector | None = None,
    ) -> list[str]:
        """Return the text that the model makes of each input.

        Args:
            inputs: texts, or speech as 16 kHz mono samples (int16, or floats of full scale 1),
                whichever the task takes. Those of one call are searched together as far as that
                takes no more than 1 GiB beside the weights; longer ones alone, up to 4 GiB.
            task: its name.
            vector: used in place of the task's; a warning is given if it is far from every task's.

        Raises:
            UsageError: there is no such task, or an input is not what the task takes, longer than
                what the model was trained on, or too long for 4 GiB. Nothing was computed.
        """
        names = [one.name for one in self.tasks]
        require_known(task, names, "task")
        sources = Inputs(self.tasks[names.index(task)], inputs, self.tokenizer)
        self._require_short(sources)
        if self.vectors is None and vector is not None:
            raise UsageError("task vector: expected none, for this model has no conditioning")
        if self.vectors is not None:
            if vector is not None and (doubt := self.vectors.why_doubted(vector)):
                warnings.warn(doubt, stacklevel=2)
            vector = vector or self.vectors.named(task)
        texts, search = [""] * len(inputs), self._search_of(sources.task)
        answers = inventories_by_task([sources.task], self.model.config, self.inventories)
        for rows in self._together(sources):
            vector_BZ = None if vector is None else np.tile(vector.array, (len(rows), 1))
            best_BW = np.asarray(search(sources.source(rows), vector_BZ))
            for row, best_W in zip(rows, best_BW, strict=True):
                about = sources.about(row)
                texts[row] = as_text(
                    best_W[0], sources.task, self.tokenizer, answers.get(task), **about
                )
        return texts

    def _search_of(self, task: Task) -> Searches:
        what = self.model.head_of(task.name), ctc_weight(task, self.decoding)
        if what not in self._searches:
            self._searches[what] = Searches(self.model, self.decoding, *what)
        return self._searches[what]

    @functools.cached_property
    def _searches(self) -> dict[tuple[str, float], Searches]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled: all but the searches, which are compiled."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def _require_short(self, sources: Inputs) -> None:
        """Raise UsageError on an input longer than those trained on, or too long for memory."""
        spoken = sources.task.source == "speech"
        scale, unit = (FRAMES_PER_SECOND, "s") if spoken else (1, "tokens")
        limit = self.max_seconds if spoken else self.max_tokens
        for place, length in enumerate(sources.length_B.tolist()):
            where = f"task {sources.task.name!r}: input {place}: expected"
            if limit is not None and length > limit * scale:
                raise UsageError(
                    f"{where} at most {limit:g} {unit}, the longest that the model was trained "
                    f"on, found {length / scale:g}; give it in parts"
                )
            if (needed := self._bytes(sources, length)) > _ALONE:
                raise UsageError(
                    f"{where} one whose search fits into {_ALONE / 2**30:g} GiB, found "
                    f"{length / scale:g} {unit}, which take {needed / 2**30:.3g} GiB; give it in "
                    "parts"
                )

    def _together(self, sources: Inputs) -> Iterator[list[int]]:
        """Yield the rows that are searched together, the longest first."""
        left = np.argsort(-sources.length_B, kind="stable").tolist()
        while left:
            count = max(1, _TOGETHER // self._bytes(sources, int(sources.length_B[left[0]])))
            yield left[:count]
            left = left[count:]

    def _bytes(self, sources: Inputs, length: int) -> int:
        """Return the bytes that a row of some length takes in a search."""
        config = self.model.config
        if sources.task.source == "text":
            return search_bytes(config, self.decoding, length)
        return search_bytes(config, self.decoding, -(-length // config.stride), length)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that ``from_pretrained`` reads; one of an earlier model is replaced.

        Raises:
            UsageError: it holds something else, or cannot be written; or the parameters no longer
                fit the configuration, so that nobody could load them.
        """
        folder = Path(folder)
        _require_loadable(self)
        contents = {
            _WEIGHTS: _weights(self.model),
            _TOKENIZER: self.tokenizer.model,
            _CARD: self.card.encode(),
        }
        if self.vectors is not None:
            contents[_VECTORS] = self.vectors.to_json().encode()
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        config = _Config(
            # Paths of the training data are private, and of no use elsewhere.
            tasks=tuple(dataclasses.replace(task, data=()) for task in self.tasks),
            model=self.model.config,
            decoding=self.decoding,
            weights_sha256=digests[_WEIGHTS],
            tokenizer_sha256=digests[_TOKENIZER],
            task_vectors_sha256=digests.get(_VECTORS),
            max_seconds=self.max_seconds,
            max_tokens=self.max_tokens,
            inventories=dict(self.inventories),
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()) and not (folder / _CONFIG).exists():
                raise UsageError(f"{folder}: not empty and not a shared model; choose another one")
            (folder / _VECTORS).unlink(missing_ok=True)
            for name, content in contents.items():
                (folder / name).write_bytes(content)
            # Last: its digests do not match a folder that is half written.
            (folder / _CONFIG).write_text(to_json(config), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{folder}: cannot be written ({error.strerror})") from None

    def push_to_hub(self, repo_id: str, *, private: bool = True) -> str:
        """Upload to the Hugging Face hub (extra ``hub``), as the user who is logged in.

        Args:
            repo_id: owner/name; created if there is none.
            private: whether only its owner sees a new repository.

        Returns:
            The URL of the commit.

        Raises:
            RunError: the hub refused, or cannot be reached.
        """
        hub = the_hub()
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
    """Load what ``save_pretrained`` or ``push_to_hub`` wrote; safe for folders from anybody.

    Args:
        path_or_id: a folder; or owner/name on the Hugging Face hub (extra ``hub``).
        download: fetch from the hub. Otherwise only earlier downloads are used.
        revision: branch, tag or commit on the hub; a commit's hash pins what you have reviewed.

    Raises:
        UsageError: it is missing, damaged, of another version, or does not match its config.json.
    """
    folder = Path(path_or_id)
    if not folder.is_dir():
        folder = from_hub(str(path_or_id), FILES, download, revision)
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
    limits = config.max_seconds, config.max_tokens
    return Pretrained(
        *(model, config.tasks, tokenizer, vectors, config.decoding, text),
        *(*limits, config.inventories),
    )


def digest(model: Seq2Seq) -> str:
    """Return the SHA-256 of a model's parameters: that of its ``model.safetensors``."""
    return hashlib.sha256(_weights(model)).hexdigest()


def _weights(model: Seq2Seq) -> bytes:
    """Return all parameters as safetensors."""
    return to_bytes(_parameters(model))


def _parameters(model: Seq2Seq) -> dict[str, np.ndarray]:
    flat = nnx.to_flat_state(nnx.state(model))
    return {_name(path): np.asarray(leaf[...]) for path, leaf in flat}


def _require_loadable(pretrained: Pretrained) -> None:
    """Raise UsageError where ``from_pretrained`` would refuse the parameters."""
    model, vocab_size = pretrained.model, pretrained.tokenizer.size
    _, params = nnx.split(
        abstract_for(pretrained.tasks, model.config, vocab_size, pretrained.inventories)
    )
    shapes = {_name(path): leaf.shape for path, leaf in nnx.to_flat_state(params)}
    arrays = _parameters(model)
    for name in sorted(shapes.keys() | arrays.keys()):
        expected, array = shapes.get(name), arrays.get(name)
        if array is None or (array.shape, array.dtype) != (expected, np.float32):
            kind = "none" if array is None else f"{array.dtype} of {array.shape}"
            raise UsageError(
                f"parameter {name!r}: expected {'none' if expected is None else 'float32 of'} "
                f"{expected or ''}, found {kind}; the model cannot be shared like that"
            )
        if not np.isfinite(array).all():
            raise UsageError(f"parameter {name!r}: expected finite numbers, found others")


def _read_model(path: Path, config: _Config, vocab_size: int) -> Seq2Seq:
    """Build the configured model around a file's weights."""
    files = dict.fromkeys(tensor_names(path), path)
    graphdef, flat = _shapes(path, config, vocab_size, len(files))
    tensors = read_tensors(files, {_name(key): leaf.shape for key, leaf in flat}, path)
    loaded = [(key, leaf.replace(jnp.asarray(tensors[_name(key)]))) for key, leaf in flat]
    return nnx.merge(graphdef, nnx.from_flat_state(loaded))


def _shapes(path: Path, config: _Config, vocab_size: int, tensors: int) -> tuple[Any, Any]:
    """Return the configured model without values; one of absurd size is not even begun."""
    model, tasks = config.model, config.tasks
    layers = max(model.encoder_layers, model.decoder_layers, model.tcn.num_layers)
    try:
        if layers > tensors:
            raise ValueError(f"{layers} layers in {tensors} tensors")
        abstract = abstract_for(tasks, model, vocab_size, config.inventories)
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
    width, stored = model.vector_width, vectors.array.shape[1]
    if stored != width:
        raise UsageError(f"{path}: expected vectors of {width} numbers, found {stored}")


def _require_digest(path: Path, expected: str) -> None:
    try:
        actual = sha256(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); fetch it anew") from None
    if actual != expected:
        raise UsageError(
            f"{path}: expected SHA-256 {expected[:64]}, found {actual}; damaged or of another "
            "model: fetch it anew"
        )


def _name(path: Sequence[Any]) -> str:
    return ".".join(map(str, path))
