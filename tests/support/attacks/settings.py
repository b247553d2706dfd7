"""Experiments and tokenizers that mean harm."""

import json
from pathlib import Path

from support.attacks.base import CODE, PICKLE, Attack, link, sparse
from support.command_line import tiny
from taskaware.files.strict_json import to_json

# Experiments.


def experiment(**changes):
    return {**json.loads(to_json(tiny(Path()))), **changes}


def train(content, expected):
    if isinstance(content, dict):
        content = json.dumps(content).encode()
    return Attack({"e.json": content}, "train e.json --out run", expected)


TASK = experiment()["tasks"][0]
NESTED = b'{"steps": ' + b"[" * 900 + b"]" * 900 + b"}"

EXPERIMENTS = {
    "Python": train(CODE, "not valid JSON"),
    "a pickle": train(PICKLE, "cannot read the configuration"),
    "YAML with a call": train(b"!!python/object/apply:os.mkdir [ran]", "not valid JSON"),
    "a class to make": train(
        experiment(_target_="hostile.Payload", _args_=["ran"]), "unknown key '_target_'"
    ),
    "another module": train(experiment(tasks={"py/object": "hostile.Payload"}), "expected a list"),
    "brackets without end": train(b"[" * 10**6, "not valid JSON"),
    "brackets as deep as JSON goes": train(NESTED, "e.json"),
    "a key twice": train(b'{"steps": 1, "steps": 2}', "key 'steps' stands twice"),
    "a hundred thousand keys": train(
        b"{" + b",".join(b'"%x":1' % i for i in range(100_000)) + b"}", "unknown key '0'"
    ),
    "no number": train(experiment(optimizer={"learning_rate": float("nan")}), "expected positive"),
    "a number of 5,000 digits": train(b'{"steps": 1' + b"0" * 5000 + b"}", "not valid JSON"),
    "a number of 4,000 digits": train(experiment(seed=10**4000), "expected an int of 64 bits"),
    "five gigabytes": train(sparse, "more than 16,777,216 bytes"),
    "a device": train(link("/dev/zero"), "more than 16,777,216 bytes"),
    "UTF-16": train('{"steps": 1}'.encode("utf-16"), "cannot read the configuration"),
    "a NUL in a path": train(experiment(tokenizer="a\0b"), "expected text without control"),
    "a path that is no text": train(experiment(tokenizer="\ud800"), "expected text without contr"),
    "a second line": train(experiment(tokenizer="a\ntaskaware: done"), "expected text without co"),
    "a command to the terminal": train({"\x1b]0;owned\x07": 1}, "unknown key '\\x1b]0;owned\\x07'"),
    "a message without end": train({"x" * 10**6: 1}, "unknown key 'xxx"),
    "a name that is a path": train(
        experiment(tasks=[TASK | {"name": "../../ran"}]), "Task.name: expected a word"
    ),
    "a run folder of code": Attack(
        {"run/experiment.json": CODE, "run/experiment.py": CODE}, "evaluate run", "not valid JSON"
    ),
}

# Tokenizers.


def tokenizer(content, expected):
    files = {"t.model": content, "e.json": json.dumps(experiment(tokenizer="t.model")).encode()}
    return Attack(files, "train e.json --out run", expected)


TOKENIZERS = {
    "a pickle": tokenizer(PICKLE, "expected a SentencePiece model"),
    "zeros": tokenizer(bytes(10**6), "expected a SentencePiece model"),
    "lengths that lie": tokenizer(
        b"\x0a\xff\xff\xff\xff\x0f" * 9, "expected a SentencePiece model"
    ),
    "five gigabytes": tokenizer(sparse, "expected a SentencePiece model"),
    "a device": tokenizer(link("/dev/zero"), "expected a SentencePiece model"),
}
