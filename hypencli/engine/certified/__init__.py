"""Error-bounded search: a cheap first pass over all documents, then float32 for the best ones."""

from hypencli.engine.certified.engine import ErrorBoundedEngine
from hypencli.engine.certified.options import FirstPassOptions, SurrogateOptions

__all__ = ["ErrorBoundedEngine", "FirstPassOptions", "SurrogateOptions"]
