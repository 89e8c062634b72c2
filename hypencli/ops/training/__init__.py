"""Training over the store: a recipe, its inputs, and the run that makes a model."""
