"""Search: engines that rank the documents of a corpus by the scores of a scorer."""
