"""Readers of documents, queries and judgements: files, BEIR folders, ir_datasets."""
