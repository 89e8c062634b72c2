"""Runs and their evaluations: written, and read back."""
