"""Training rows as tensors: examples, sampling, batches, token tables, kept token states."""
