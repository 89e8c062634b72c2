"""Neighbour graphs of embedding sets."""
