"""Datasets of the hard tasks: from what their authors released to files that every verb takes."""

from hypencli.data.prepare.job import Job, Made, Part
from hypencli.data.prepare.registry import PREPARATIONS, Preparation, find_preparation

__all__ = ["PREPARATIONS", "Job", "Made", "Part", "Preparation", "find_preparation"]
