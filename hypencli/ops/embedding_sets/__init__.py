"""Embedding sets that are encoded: their options, their identity, and their shards."""
