"""Import and export of runs, models, embeddings, graphs, and studies."""
