"""Training of dual encoders on rows of queries and passages, with the Hugging Face Trainer."""

from __future__ import annotations

from hypencli.training.config import Sampling, Stage, StateCache, TrainingConfig, ValidationConfig
from hypencli.training.data.known_outputs import EncoderKey, FindKnown, KnownOutputs, holds
from hypencli.training.data.state_cache import known_in
from hypencli.training.data.token_tables import hash_of
from hypencli.training.loop import TrainingOutcome, train
from hypencli.training.preparation import RunContext, TrainingData
from hypencli.training.validation import HeldOutRows, JudgedCorpus

__all__ = [
    "EncoderKey",
    "FindKnown",
    "HeldOutRows",
    "JudgedCorpus",
    "KnownOutputs",
    "RunContext",
    "Sampling",
    "Stage",
    "StateCache",
    "TrainingConfig",
    "TrainingData",
    "TrainingOutcome",
    "ValidationConfig",
    "hash_of",
    "holds",
    "known_in",
    "train",
]
