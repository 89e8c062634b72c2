"""Evaluation of stored runs: measures, comparisons, pools, and search costs."""
