"""``hype export study`` and ``hype import study``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]


def test_a_study_goes_to_another_store(hype: Hype, study: Path, tmp_path: Path) -> None:
    path, other = tmp_path / "s.zip", tmp_path / "other"
    done = hype("export", "study", path, "--store", study)
    assert done.code == 0
    assert "Wrote 2 runs and 2 evaluations to" in done.out
    assert "Of 4 models, embedding sets and graphs it holds only the manifests." in done.out
    hype("init", other)
    taken = hype("import", "study", path, "--store", other)
    assert "Took in 2 runs and 2 evaluations; 0 existed already." in taken.out
    boards = [hype("report", "--store", store, "--json").json for store in (study, other)]
    assert boards[0] == boards[1]
    assert len(boards[0][0]["rows"]) == 2
    shown = hype("show", "hyper", "--store", other)
    assert "This store has only its manifest; its files are in another store." in shown.out
    assert "▁" in shown.out
    assert not hype("show", "hyper", "--store", other, "--json").json["here"]
    refused = hype("query", "river", "--model", "hyper", "--store", other)
    assert (refused.code, "is in another store" in refused.err) == (4, True)
    assert hype("import", "study", path, "--store", other, "--json").json["existing"] == 4
    some = ["export", "study", path, "--run", "hyper-run", "--store", study]
    assert hype(*some).code == 2
    assert hype(*some, "--overwrite", "--json").json["runs"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["import", "study", "{folder}/none.zip"], 5, "none.zip"),
        (["import", "study", "{folder}/text.zip"], 5, "hype export study"),
        (["export", "study", "{folder}/s.zip"], 2, "--overwrite"),
        (["export", "study", "{folder}/x.zip", "--run", "hyper-rum"], 4, "hyper-run"),
        (["export", "study", "{folder}/no/x.zip"], 5, "folder"),
    ],
)
def test_errors(
    hype: Hype, study: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "text.zip").write_text("no archive", encoding="utf-8")
    assert hype("export", "study", tmp_path / "s.zip", "--store", study).code == 0
    filled = [part.format(folder=tmp_path) for part in arguments]
    outcome = hype(*filled, "--store", study)
    assert outcome.code == code, outcome.err
    assert words in outcome.err
    assert hype("doctor", "--store", study).code == 0
