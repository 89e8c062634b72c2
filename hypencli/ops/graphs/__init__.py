"""Neighbour graphs over the store: built, imported, and found again for a search."""
