"""Recipes: backbone, data, losses and schedule of a training.

A recipe is a TOML file, named by its path or, if shipped, by its name. It can extend another
recipe, and any value can be overridden (``--set training.steps=100``). The result is a frozen,
validated :class:`Recipe` with its own hash.
"""

from __future__ import annotations

from hypencli.recipe.data_section import DataSection, LossSection
from hypencli.recipe.loading import (
    RecipeSummary,
    find_recipe,
    list_recipes,
    load_recipe,
    recipes_folder,
    resolve_recipe,
)
from hypencli.recipe.model_section import ConverterSection, ModelSection
from hypencli.recipe.rendering import FieldDescription, describe, to_toml, toml_value
from hypencli.recipe.schema import Recipe
from hypencli.recipe.section import Pooling, Section
from hypencli.recipe.training_section import TrainingSection, ValidationSection

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
    "ValidationSection",
    "describe",
    "find_recipe",
    "list_recipes",
    "load_recipe",
    "recipes_folder",
    "resolve_recipe",
    "to_toml",
    "toml_value",
]
