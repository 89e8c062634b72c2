"""Embedding sets: Parquet shards of vectors, written and read in place."""
