"""Datasets of the hard tasks: convert the released files to files that every verb reads."""

from hypencli.data.prepare.job import Job, Part, PreparedParts
from hypencli.data.prepare.registry import PREPARATIONS, DatasetPreparation, find_preparation

__all__ = ["PREPARATIONS", "DatasetPreparation", "Job", "Part", "PreparedParts", "find_preparation"]
