"""Verbs of the store: init, ls, show, rm, doctor, demo."""
