"""Training as processes: devices, random state, checkpoints, several processes at once."""
