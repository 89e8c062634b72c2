"""Engines by name: what each is, what it can be told, what it needs. Nothing here imports torch."""
