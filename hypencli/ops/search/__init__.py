"""Search over the store: from options to a stored run."""
