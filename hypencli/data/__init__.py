"""Readers and writers of corpora, queries, qrels, runs and training files."""
