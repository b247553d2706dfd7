#!/usr/bin/env bash
# Library: sentencepiece 0.2.1.
# Expected: with the identity normalization, coverage 1.0 and room for every character, a trained model
#   gives every sentence of its training text back.
# Seen: a sentence with U+2585 (▅, as in charts) is left out of training whole, at a log level below
#   warnings, so letters that stand in no other sentence are unknown afterwards; and U+2581 (▁) in a text
#   comes back as a space. No other character of Unicode is lost.
# Do: let two noncharacters stand for them before training and encoding, and turn them back after decoding.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "sentencepiece==0.2.1"
cd "$folder"
venv/bin/python - <<'PY'
import io

import sentencepiece

texts = ["the sales \u2585\u2585 quickly grew", "the log", "a \u2581 b"]
model = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(texts), model_writer=model, model_type="bpe", vocab_size=20,
    hard_vocab_limit=False, character_coverage=1.0, normalization_rule_name="identity",
    remove_extra_whitespaces=False, minloglevel=1,
)
tokenizer = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
back = [tokenizer.decode(tokenizer.encode(text)) for text in texts]
print("sentencepiece", sentencepiece.__version__)
for text, found in zip(texts, back):
    print(f"{ascii(text)} comes back as {ascii(found)}")
# "sales" and "grew" are unknown, though they were trained on and coverage is 1.0.
assert back[0] != texts[0] and "grew" not in back[0]
assert back[1] == texts[1]
assert back[2] == "a   b"
PY
