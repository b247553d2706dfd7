import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskaware.dims import EOS, PAD, UNK
from taskaware.errors import UsageError

sentencepiece = pytest.importorskip("sentencepiece")
from taskaware.data.tokenizer import Tokenizer, train_tokenizer  # noqa: E402

TEXTS = [
    "The small dog sleeps in the garden.",
    "Der kleine Hund schläft im Garten, oder?",
    "Câinele mic doarme în grădină.",
    "Küçük köpek bahçede uyuyor mu?",
    "</s> <pad> <unk> 1 < 2 and/or 2 > 1",
]
ALPHABET = sorted({character for text in TEXTS for character in text})


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "spm.model"
    train_tokenizer(TEXTS * 3, 90, path)
    return path


@pytest.fixture(scope="module")
def tokenizer(path):
    return Tokenizer.load(path)


def train_error(texts, size, path):
    with pytest.raises(UsageError) as error:
        train_tokenizer(texts, size, path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_most_frequent_pair_is_the_first_merge(tmp_path):
    # Pairs of "abab abc": ab 3 times, ba and bc once each, and "▁a", with the space before a
    # word, twice.
    train_tokenizer(["abab abc"], 3 + 4 + 1, tmp_path / "m")
    tokenizer = Tokenizer.load(tmp_path / "m")
    peer = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "m"))
    assert [peer.id_to_piece(i) for i in range(4)] == ["<pad>", "</s>", "<unk>", "ab"]
    assert set(map(peer.id_to_piece, range(4, 8))) == {"▁", "a", "b", "c"}
    assert tokenizer.encode("ab")[1:] == [3]


def test_the_model_has_the_size_asked_for_and_its_special_ids(tokenizer):
    assert tokenizer.size == 90
    peer = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    ids = peer.pad_id(), peer.eos_id(), peer.unk_id(), peer.bos_id()
    assert ids == (PAD, EOS, UNK, -1) == (0, 1, 2, -1)


@given(text=st.text(st.sampled_from(ALPHABET), max_size=60))
def test_text_comes_back_with_single_spaces(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == " ".join(text.split())
    assert all(UNK < token < tokenizer.size for token in ids)


def test_every_character_of_all_but_the_largest_scripts_comes_back(tmp_path):
    # The two that SentencePiece keeps for itself are U+2581 and U+2585.
    characters = map(chr, [*range(0x3400), *range(0xF900, 0x10000)])
    normal = [c for c in characters if unicodedata.normalize("NFC", c) == c and c.split() == [c]]
    normal = [c for c in normal if c.isprintable()]
    assert {"\u2581", "\u2585", "\u2047"} < set(normal)
    texts = ["".join(normal[i : i + 100]) for i in range(0, len(normal), 100)]
    train_tokenizer(texts, 4 + len(normal), tmp_path / "m")
    tokenizer = Tokenizer.load(tmp_path / "m")
    for text in (f"a{character}b {character} a" for character in normal):
        assert tokenizer.decode(tokenizer.encode(text)) == unicodedata.normalize("NFC", text)


def test_no_sentence_is_lost_to_a_character_that_sentencepiece_keeps_for_itself(tmp_path):
    train_tokenizer(["kurz", "größe \u2585\u2585 ja", "\u2581"], 4 + 13, tmp_path / "m")
    tokenizer = Tokenizer.load(tmp_path / "m")
    for text in ("größe", "ja \u2585 ja", "\u2581\u2581 kurz \u2581"):
        assert UNK not in tokenizer.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_characters_that_a_vocabulary_lacks_are_told(tokenizer):
    assert tokenizer.unknown(TEXTS[3]) == []
    assert tokenizer.unknown("日 im Garten, 本日 \u2581") == ["日", "本", "\u2581"]


@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=30))
def test_no_text_encodes_to_padding_or_end(tokenizer, text):
    assert not {PAD, EOS} & set(tokenizer.encode(text))


@pytest.mark.parametrize("typed", ["</s>", "<pad>", "<unk>", "a </s> b"])
def test_a_special_token_that_is_typed_is_only_text(tokenizer, typed):
    ids = tokenizer.encode(typed)
    assert not {PAD, EOS, UNK} & set(ids)
    assert tokenizer.decode(ids) == typed


def test_composed_and_decomposed_letters_are_the_same(tokenizer):
    decomposed = unicodedata.normalize("NFD", TEXTS[1])
    assert decomposed != TEXTS[1]
    assert tokenizer.encode(decomposed) == tokenizer.encode(TEXTS[1])
    assert tokenizer.decode(tokenizer.encode(decomposed)) == TEXTS[1]


@pytest.mark.parametrize("space", ["\u00a0", "\u2028", "\t", "\r\n", "  "])
def test_any_white_space_is_one_space(tokenizer, space):
    assert tokenizer.encode(f" der{space}Hund ") == tokenizer.encode("der Hund")


def test_an_unknown_character_is_visible_in_the_text(tokenizer):
    ids = tokenizer.encode("im 日 Garten")
    assert ids.count(UNK) == 1
    assert tokenizer.decode(ids) == "im \u2047 Garten"


def test_decoding_stops_at_the_end_and_leaves_padding_out(tokenizer):
    ids = tokenizer.encode("im Garten")
    assert tokenizer.decode([*ids, EOS, *ids, 10**9]) == "im Garten"
    assert tokenizer.decode([PAD, *ids, PAD, PAD]) == "im Garten"
    assert tokenizer.decode([EOS]) == tokenizer.decode([]) == ""


def test_the_same_text_gives_the_same_bytes(path, tokenizer, tmp_path):
    train_tokenizer(iter(TEXTS * 3), 90, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes() == tokenizer.model
    assert Tokenizer.load(tmp_path / "again").sha256 == tokenizer.sha256


def test_other_text_gives_another_fingerprint(tokenizer, tmp_path):
    train_tokenizer(TEXTS[:4] * 3, 90, tmp_path / "other")
    assert Tokenizer.load(tmp_path / "other").sha256 != tokenizer.sha256


def test_a_long_text_is_not_left_out(tmp_path):
    train_tokenizer(["kurz", "ß" * 5000], 20, tmp_path / "m")
    assert UNK not in Tokenizer.load(tmp_path / "m").encode("ß")


def test_a_vocabulary_too_large_is_refused_with_the_largest_that_works(tmp_path):
    message = train_error(["hello world"], 1000, tmp_path / "m")
    largest = int(message.split("at most ")[1].split()[0])
    assert not list(tmp_path.iterdir())
    train_error(["hello world"], largest + 1, tmp_path / "m")
    train_tokenizer(["hello world"], largest, tmp_path / "m")
    assert Tokenizer.load(tmp_path / "m").size == largest


def test_a_vocabulary_too_small_for_the_characters_is_refused(tmp_path):
    # 3 special tokens, the space and h e l o w r d.
    assert "at least 11 tokens" in train_error(["hello world"], 10, tmp_path / "m")
    train_tokenizer(["hello world"], 11, tmp_path / "m")
    train_error(["hello world"], 0, tmp_path / "m")


@pytest.mark.parametrize("texts", [[], [""], [" ", "\t"]])
def test_no_text_is_refused(tmp_path, texts):
    assert train_error(texts, 100, tmp_path / "m").endswith("found none; name labels by --labels")
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_reader_comes_through_and_leaves_nothing(tmp_path):
    def texts():
        yield "hello"
        raise UsageError("table.tsv:2: bad")

    assert train_error(texts(), 10, tmp_path / "m") == "table.tsv:2: bad"
    assert not list(tmp_path.iterdir())


def test_lone_surrogates_are_refused(tokenizer, tmp_path):
    with pytest.raises(UsageError, match="surrogates"):
        tokenizer.encode("a\ud800b")
    assert "surrogates" in train_error(["a\ud800b"], 10, tmp_path / "m")


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot write" in train_error(TEXTS, 90, tmp_path)
    assert "cannot write" in train_error(TEXTS, 90, tmp_path / "file" / "m")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("content", [b"", b"junk", b"<html>", None])
def test_what_is_not_a_model_is_refused(path, tmp_path, content):
    broken = tmp_path / "m"
    broken.write_bytes(path.read_bytes()[:300] if content is None else content)
    with pytest.raises(UsageError, match="expected a SentencePiece model"):
        Tokenizer.load(broken)


def test_a_missing_model_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere: cannot read the tokenizer"):
        Tokenizer.load(tmp_path / "nowhere")


def test_a_model_with_other_special_ids_is_refused(tmp_path):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_prefix=str(tmp_path / "m"), vocab_size=90,
        model_type="bpe", minloglevel=2,
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"found \(-1, 2, 0, 1\)"):
        Tokenizer.load(tmp_path / "m.model")


def test_nothing_is_printed(path, tmp_path, capfd):
    train_tokenizer(TEXTS * 3, 90, tmp_path / "m")
    train_error(TEXTS, 10**6, tmp_path / "m")
    Tokenizer.load(path).encode("Küche 日")
    (tmp_path / "broken").write_bytes(b"junk")
    with pytest.raises(UsageError):
        Tokenizer.load(tmp_path / "broken")
    assert capfd.readouterr() == ("", "")
