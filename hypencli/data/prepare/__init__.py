"""Datasets of the hard tasks: from what their authors released to files that every verb takes."""

from hypencli.data.prepare.job import Job, Part, PreparedParts
from hypencli.data.prepare.registry import PREPARATIONS, DatasetPreparation, find_preparation

__all__ = ["PREPARATIONS", "DatasetPreparation", "Job", "Part", "PreparedParts", "find_preparation"]
