"""Recipes: what to train, from which backbone, on which data, with which losses, for how long.

A recipe is a TOML file, found by name among those shipped or by path. It may extend another one,
and any value can be overridden (``--set training.steps=100``). What comes out is one frozen,
checked :class:`Recipe` with a hash of its own.
"""

from __future__ import annotations

from hypencli.recipe.loading import (
    RecipeSummary,
    find_recipe,
    list_recipes,
    load_recipe,
    recipes_folder,
    resolve_recipe,
)
from hypencli.recipe.rendering import FieldDescription, describe, to_toml
from hypencli.recipe.schema import (
    ConverterSection,
    DataSection,
    LossSection,
    ModelSection,
    Pooling,
    Recipe,
    Section,
    TrainingSection,
)

__all__ = [
    "ConverterSection",
    "DataSection",
    "FieldDescription",
    "LossSection",
    "ModelSection",
    "Pooling",
    "Recipe",
    "RecipeSummary",
    "Section",
    "TrainingSection",
    "describe",
    "find_recipe",
    "list_recipes",
    "load_recipe",
    "recipes_folder",
    "resolve_recipe",
    "to_toml",
]
