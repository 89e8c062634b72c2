"""Training by a recipe, with inputs from the store and a model as the result."""
