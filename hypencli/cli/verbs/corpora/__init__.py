"""Verbs of corpora: data, encode, graph, perturb."""
