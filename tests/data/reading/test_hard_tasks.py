"""Names of the prepared datasets, for readers that meet one before it is prepared."""

from __future__ import annotations

import pytest

from hypencli.data.prepare import PREPARATIONS
from hypencli.data.reading.hard_tasks import HARD_TASKS, prepare_hint


def test_the_names_are_those_of_the_registry() -> None:
    """Readers stand below the preparations, so they hold the names as data."""
    assert set(HARD_TASKS) == PREPARATIONS.keys()


@pytest.mark.parametrize("name", ["tot-train", "ToT_train", "tot-train/validation.jsonl"])
def test_a_dataset_is_recognised_in_every_spelling(name: str) -> None:
    assert prepare_hint(name) == "Prepare it: hype data prepare tot-train\n"


def test_another_name_gets_no_hint() -> None:
    assert prepare_hint("vaswani") == ""
