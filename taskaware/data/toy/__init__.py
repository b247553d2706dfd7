"""The embedded corpus: sentences of a small grammar, read aloud by a synthesizer.

It replaces real corpora wherever something must be tried within minutes.

Reading order: lexicon ← marks ← clauses ← grammar ← speech.
"""
