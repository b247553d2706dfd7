"""The embedded corpus: sentences of a small written grammar, read aloud by a synthesizer.

It stands in for the real corpora wherever something must be tried within minutes.

Reading order: lexicon ← clauses ← grammar ← speech.
"""
