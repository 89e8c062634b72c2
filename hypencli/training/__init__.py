"""Training of dual encoders on rows of queries and passages, with the Hugging Face Trainer."""

from __future__ import annotations

from hypencli.training.config import Sampling, Stage, StateCache, TrainingConfig, ValidationConfig
from hypencli.training.loop import TrainingOutcome, train
from hypencli.training.preparation import RunContext, TrainingData
from hypencli.training.validation import HeldOutRows, JudgedCorpus

__all__ = [
    "HeldOutRows",
    "JudgedCorpus",
    "RunContext",
    "Sampling",
    "Stage",
    "StateCache",
    "TrainingConfig",
    "TrainingData",
    "TrainingOutcome",
    "ValidationConfig",
    "train",
]
