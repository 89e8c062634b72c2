"""Vector indexes of faiss and hnswlib: specified, built, searched as an engine."""
