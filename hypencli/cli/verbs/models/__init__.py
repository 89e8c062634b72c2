"""Verbs of models: recipes, training, and what training rows are made of."""
