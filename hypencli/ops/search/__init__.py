"""Search of embedding sets: from options to a stored run."""
