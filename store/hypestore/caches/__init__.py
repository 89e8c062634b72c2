"""Caches: derived data that may be deleted between any two commands."""
