"""Artifacts to and from files: runs, models, embeddings, graphs, whole studies."""
