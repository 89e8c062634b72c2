"""Training on the Hugging Face Trainer: rows in, a trained dual encoder and its curves out."""

from __future__ import annotations

from hypencli.training.config import Sampling, StateCache, TrainingConfig
from hypencli.training.loop import TrainingOutcome, train

__all__ = ["Sampling", "StateCache", "TrainingConfig", "TrainingOutcome", "train"]
