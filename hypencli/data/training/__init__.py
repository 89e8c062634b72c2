"""Training rows: queries with their passages. Reads files, folders and the hub; writes files."""

from hypencli.data.training.source import (
    TrainingSource,
    iterate_training_rows,
    open_training_rows,
    read_training_rows,
    training_fingerprint,
)
from hypencli.data.training.writing import write_training_rows

__all__ = [
    "TrainingSource",
    "iterate_training_rows",
    "open_training_rows",
    "read_training_rows",
    "training_fingerprint",
    "write_training_rows",
]
