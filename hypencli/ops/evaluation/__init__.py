"""Evaluation over the store: runs measured, compared, pooled, and what they cost."""
