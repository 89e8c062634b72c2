"""Training rows as tensors: examples, sampling, batches, token tables, token state stores."""
