"""Checkpoints on disk: configuration, weights, backbones, and what is refused in them."""
