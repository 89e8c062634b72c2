"""Neighbour graphs of embedding sets: builders, builds, and look-up for a search."""
