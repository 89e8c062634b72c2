"""BM25 over the texts of documents, by the library bm25s."""
