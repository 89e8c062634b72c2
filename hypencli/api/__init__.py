"""The Python library: models as objects, and project stores with the operations of ``hype``."""

from hypencli.api.model import EncodedQueries, Model, load
from hypencli.api.project import Project, RunResults, open_store

__all__ = ["EncodedQueries", "Model", "Project", "RunResults", "load", "open_store"]
