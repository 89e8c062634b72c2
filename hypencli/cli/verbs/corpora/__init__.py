"""Verbs of corpora: encoded, connected, checked, prepared, perturbed."""
