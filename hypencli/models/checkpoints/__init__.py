"""Checkpoints on disk: configurations, weights, backbones, and checks of untrusted files."""
