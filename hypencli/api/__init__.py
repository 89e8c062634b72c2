"""The Python library: a model as an object, and a project store with what the command can do."""

from hypencli.api.model import EncodedQueries, Model, load
from hypencli.api.project import Project, RunResults, open_store

__all__ = ["EncodedQueries", "Model", "Project", "RunResults", "load", "open_store"]
