"""Search: given a scorer and blocks of vectors, ids and scores."""
