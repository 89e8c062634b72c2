"""Process-level parts of training: backbones, random state, checkpoints, distribution."""
