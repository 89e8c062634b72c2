"""The scorers and documents of the engines' contract."""

from tests.contract.conftest import corpus_of, make_scorer, scorers

__all__ = ["corpus_of", "make_scorer", "scorers"]
