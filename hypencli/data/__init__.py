"""Readers and writers: corpora, queries, qrels, runs and training files."""
