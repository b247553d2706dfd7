"""Corpora: one file each, which documents the corpus' own format and yields its examples."""

from taskaware.data.corpora.base import Example, PreparedCorpus, Row

__all__ = ["Example", "PreparedCorpus", "Row"]
