"""Verbs of exchange: artifacts to and from files."""
