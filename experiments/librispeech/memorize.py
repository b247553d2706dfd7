"""Can it learn real speech by heart? ASR on a few utterances of LibriSpeech, scored on the same.

No row of the paper, and no result: the first thing to ask of a recognizer and of a reader of
audio, as whatever is broken between FLAC and transcript keeps the loss up. With any folder in the
corpus' own layout, such as one chapter of it or Mini LibriSpeech,

    taskaware check librispeech LIBRISPEECH
    taskaware prepare librispeech LIBRISPEECH --out data/librispeech_few
    taskaware vocab --data data/librispeech_few --size 300 --out data/librispeech_few.model
    taskaware train experiments/librispeech/memorize.py --out runs/memorize
    taskaware evaluate runs/memorize --split train
    taskaware decode runs/memorize --task asr --split train

Obtained with the 38 FLAC utterances of two readers of Mini LibriSpeech, 7.7 minutes: WER 0.2 after
400 steps, on two CPU cores that did other work meanwhile, 2026-11-21.
"""

from dataclasses import replace

from taskaware.config import Batching, Decoding, Experiment, OptimizerConfig, Task, small_model

experiment = Experiment(
    tasks=(
        Task(
            name="asr",
            source="speech",
            target="transcript",
            metric="wer",
            data=("data/librispeech_few",),
        ),
    ),
    tokenizer="data/librispeech_few.model",
    model=replace(small_model(), conditioning="vanilla"),
    batching=Batching(size=12, buckets=2, max_seconds=20.0, max_tokens=150),
    optimizer=OptimizerConfig(learning_rate=0.8, warmup_steps=200),
    decoding=Decoding(beam_size=4, extra_length=20),
    steps=400,
    log_every=50,
    save_every=400,
)
