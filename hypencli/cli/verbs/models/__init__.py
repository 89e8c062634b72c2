"""Verbs of models: recipes, train, mine, teach."""
