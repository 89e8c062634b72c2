"""Verbs of the store: made, listed, shown, removed, examined; the demo."""
