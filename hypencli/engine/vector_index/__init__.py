"""Vector indexes of faiss and hnswlib: specification, building, and search."""
