"""The SentencePiece tokenizer that all tasks and languages share."""

import contextlib
import hashlib
import io
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import sentencepiece

from taskaware.dims import EOS, PAD, UNK
from taskaware.errors import UsageError
from taskaware.files.whole import open_whole

_MOST = 2**26
"""Bytes of the largest model that is read; one of 32,000 tokens has less than a million."""

_STAND_INS = {"\u2581": "\ufdd0", "\u2585": "\ufdd1"}
"""SentencePiece takes U+2581 for a space, and skips sentences with U+2585 in training."""


def train_tokenizer(texts: Iterable[str], vocab_size: int, path: str | Path) -> None:
    """Train a tokenizer on all texts of all tasks and write it to a file.

    It is a byte-pair encoding: its merges are counted in whole numbers, so the same texts give the
    same tokenizer on every machine and with any number of threads, which the floating-point sums
    of SentencePiece's unigram model do not. Every character of the texts has its own token.

    Args:
        texts: sentences; those without a character are skipped.
        vocab_size: number of tokens, among them padding 0, end of sequence 1 and unknown 2.
        path: the file to write; it appears whole or not at all.

    Raises:
        UsageError: there is no text, the texts do not support that many tokens or need more, or
            the file cannot be written.

    Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units".
    """
    path = Path(path)
    with contextlib.ExitStack() as stack:
        try:  # before the training, which may take minutes
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open_whole(path))
        except OSError as error:
            raise UsageError(
                f"{path}: cannot write there ({error.strerror}); choose another path"
            ) from None
        file.write(_train(texts, vocab_size))


class Tokenizer:
    """Converts text into token ids and back.

    ``decode(encode(text))`` is the text in Unicode's form NFC, each run of white space made one
    space; characters that are not in the vocabulary become U+2047. The noncharacters U+FDD0 and
    U+FDD1, which no text should have, become U+2581 and U+2585: SentencePiece reserves the latter
    two, so the former replace them inside it.

    Attributes:
        model: the model file's content; ids mean nothing without it.
        sha256: digest of the model, in hexadecimal: equal if and only if the tokenizers are.
        size: number of tokens.
    """

    def __init__(self, model: bytes, where: str = "tokenizer"):
        """Build from the content of a model file.

        Args:
            model: what ``train_tokenizer`` wrote.
            where: its origin, for messages.

        Raises:
            UsageError: it is not such a model.
        """
        try:
            if not model:
                raise RuntimeError
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError:
            raise UsageError(
                f"{where}: expected a SentencePiece model, found {len(model)} other or damaged"
                " bytes; write it anew with taskaware vocab"
            ) from None
        processor = self._processor
        special = processor.pad_id(), processor.eos_id(), processor.unk_id(), processor.bos_id()
        if special != (PAD, EOS, UNK, -1):
            raise UsageError(
                f"{where}: expected the ids of padding, end, unknown and beginning to be"
                f" {(PAD, EOS, UNK, -1)}, found {special}; write the model with taskaware vocab"
            )
        self.model = model
        self.sha256 = hashlib.sha256(model).hexdigest()
        self.size: int = processor.get_piece_size()

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Load a tokenizer from its file; a missing or damaged one is a UsageError."""
        try:
            with open(path, "rb") as file:
                model = file.read(_MOST + 1)
        except OSError as error:
            raise UsageError(
                f"{path}: cannot read the tokenizer ({error.strerror}); write one with taskaware"
                " vocab"
            ) from None
        if len(model) > _MOST:
            raise UsageError(f"{path}: expected a SentencePiece model, found over {_MOST:,} bytes")
        return cls(model, str(path))

    def encode(self, text: str) -> list[int]:
        """Return the text's token ids, without an end of sequence.

        No text encodes to the id of padding or end of sequence.

        Raises:
            UsageError: the text is not valid Unicode.
        """
        return self._processor.encode(_clean(text))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text up to the first end of sequence; padding is left out."""
        tokens = itertools.takewhile(lambda token: token != EOS, map(int, ids))
        return _restored(self._processor.decode(list(tokens)))  # which leaves padding out

    def unknown(self, text: str) -> list[str]:
        """Return the characters of a text that are not in the vocabulary, each once."""
        characters = dict.fromkeys(_restored(_clean(text)))
        return [character for character in characters if UNK in self.encode(character)]


def _clean(text: str) -> str:
    """Return normalized text; SentencePiece itself normalizes nothing."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"expected valid Unicode text, found lone surrogates: {text!r}") from None
    for character, stand_in in _STAND_INS.items():
        text = text.replace(character, stand_in)
    return " ".join(unicodedata.normalize("NFC", text).split())


def _restored(text: str) -> str:
    for character, stand_in in _STAND_INS.items():
        text = text.replace(stand_in, character)
    return text


def _train(texts: Iterable[str], vocab_size: int) -> bytes:
    model = io.BytesIO()
    failures: list[Exception] = []

    def sentences() -> Iterator[str]:
        # SentencePiece would replace an exception of the reader by a RuntimeError of its own.
        try:
            yield from (cleaned for text in texts if (cleaned := _clean(text)))
        except Exception as error:
            failures.append(error)

    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences(),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            pad_id=PAD,
            eos_id=EOS,
            unk_id=UNK,
            bos_id=-1,
            unk_surface="\u2047",
            character_coverage=1.0,
            max_sentence_length=2**30,  # bytes; longer texts would be left out without a word
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            minloglevel=2,
        )
    except RuntimeError as error:
        if not failures:
            raise UsageError(_explanation(str(error), vocab_size)) from None
    if failures:
        raise failures[0]
    return model.getvalue()


def _explanation(message: str, vocab_size: int) -> str:
    if "sentences_.empty()" in message:
        return "expected text to train a tokenizer on, found none; name labels by --labels"
    if largest := re.search(r"too high.*<= (\d+)", message):
        return (
            f"expected a vocabulary of at most {largest[1]} tokens, which is all that the text"
            f" supports, found {vocab_size}; lower the size or add text"
        )
    if smallest := re.search(r"required_chars. \d+ vs (\d+)", message):
        return (
            f"expected a vocabulary of at least {smallest[1]} tokens, one for each character of"
            f" the text, found {vocab_size}; raise the size"
        )
    return f"cannot train a tokenizer with a vocabulary of {vocab_size} ({message})"
