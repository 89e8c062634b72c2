"""The engine of docs/extending.md, installed as a package of a user's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Hype
from tests.docs.installing import Example

USAGE = 2


@pytest.fixture
def search(hype: Callable[..., Any], study: Path, tiny_collection: Path) -> Callable[..., Any]:
    def run(*arguments: object) -> Any:
        queries = tiny_collection / "queries.jsonl"
        return hype("search", queries, "--model", "hyper", *arguments, "--store", study)

    return run


@pytest.mark.usefixtures("site")
def test_it_is_listed_with_its_options(hype: Callable[..., Any]) -> None:
    listed = hype("engines", "--json").json["engines"]
    assert [one["name"] for one in listed][-1] == "sampled"
    shown = hype("engines", "sampled").out
    assert "above 0 and at most 1" in " ".join(shown.split())
    assert "share of the documents scored" in " ".join(shown.split())


@pytest.mark.usefixtures("site")
def test_it_searches_and_its_options_are_part_of_the_run(
    search: Callable[..., Any], hype: Callable[..., Any], study: Path
) -> None:
    """Of 120 documents a share of 0.1 is 12; all of them are exact search."""
    few = search("--engine", "sampled", "-o", "share=0.1", "--k", 5, "--json").json
    assert (few["engine"], few["evaluations"]["max"]) == ("sampled", 12)
    inputs = hype("show", few["run"], "--store", study, "--json").json["manifest"]["inputs"]
    assert (inputs["engine"], inputs["share"], inputs["seed"]) == ("sampled", 0.1, 0)
    again = search("--engine", "sampled", "-o", "share=0.1", "--k", 5, "--json").json
    assert (again["existing"], again["run"]) == (True, few["run"])
    everything = search("--engine", "sampled", "-o", "share=1", "--k", 5, "--check", 3, "--json")
    assert everything.json["check"]["recall"] == {"5": 1.0}


@pytest.mark.usefixtures("site")
def test_what_the_page_types_searches_calibrates_and_reaches_a_recall(
    example: Callable[[str], Example],
    hype: Hype,
    study: Path,
    tiny_collection: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fifth of 120 documents is 24."""
    monkeypatch.chdir(tiny_collection)
    listing, *commands = example("An engine").commands
    assert [command[0] for command in commands] == ["search", "calibrate", "search"]
    assert hype(*listing).code == 0
    common = ("--model", "hyper", "--store", study, "--json")
    few, calibrated, enough = [hype(*command, *common) for command in commands]
    assert (few.code, calibrated.code, enough.code) == (0, 0, 0), few.err + calibrated.err
    assert few.json["evaluations"]["max"] == 24
    assert enough.json["evaluations"]["mean"] == 120


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("share=2", ["share=2", "above 0 and at most 1", "0.5 by default"]),
        ("share=much", ["share=much", "a number"]),
        ("sede=1", ["no option 'sede'", "Did you mean 'seed'"]),
        ("ef_search=9", ["ef_search is an option of hnsw", "seed, share"]),
    ],
)
@pytest.mark.usefixtures("site")
def test_a_wrong_option_is_refused(
    search: Callable[..., Any], option: str, words: list[str]
) -> None:
    refused = search("--engine", "sampled", "-o", option)
    assert refused.code == USAGE
    for word in words:
        assert word in " ".join(refused.err.split())


@pytest.mark.usefixtures("examples_on_path")
def test_what_merely_lies_on_the_path_is_no_engine(search: Callable[..., Any]) -> None:
    refused = search("--engine", "sampled")
    assert (refused.code, "There is no engine 'sampled'" in refused.err) == (USAGE, True)
    assert "sampled" not in sys.modules
