"""The page on engines of a user's own: its example, installed and searched with."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypencli import plugins
from hypencli.engine.registry.lookup import GROUP

PAGE = Path(__file__).parents[2] / "docs" / "extending-engine.md"
USAGE = 2


def block(language: str) -> str:
    """The page's code in a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the file of the page, and the metadata that pip writes for its package."""
    folder = tmp_path / "site"
    home = folder / "sampled-1.0.dist-info"
    home.mkdir(parents=True)
    (folder / "sampled.py").write_text(block("python"), encoding="utf-8")
    (home / "METADATA").write_text("Name: sampled\nVersion: 1.0\n", encoding="utf-8")
    (line,) = re.findall(r'^sampled = "(.*)"$', block("toml"), re.MULTILINE)
    (home / "entry_points.txt").write_text(f"[{GROUP}]\nsampled = {line}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop("sampled", None)


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as one where packages are installed."""
    monkeypatch.setattr(plugins, "_install_folders", lambda: {folder.resolve()})
    return folder


@pytest.fixture
def search(hype: Callable[..., Any], study: Path, tiny_collection: Path) -> Callable[..., Any]:
    def run(*arguments: object) -> Any:
        queries = tiny_collection / "queries.jsonl"
        return hype("search", queries, "--model", "hyper", *arguments, "--store", study)

    return run


def test_the_group_is_the_one_of_the_page() -> None:
    assert f'[project.entry-points."{GROUP}"]' in block("toml")


@pytest.mark.usefixtures("installed")
def test_it_is_listed_with_its_options(hype: Callable[..., Any]) -> None:
    listed = hype("engines", "--json").json["engines"]
    assert [one["name"] for one in listed][-1] == "sampled"
    shown = hype("engines", "sampled").out
    assert "above 0 and at most 1" in " ".join(shown.split())
    assert "share of the documents scored" in " ".join(shown.split())


@pytest.mark.usefixtures("installed")
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


@pytest.mark.usefixtures("installed")
def test_it_is_calibrated_and_reaches_a_recall(
    search: Callable[..., Any], hype: Callable[..., Any], study: Path, tiny_collection: Path
) -> None:
    queries = tiny_collection / "queries.jsonl"
    measured = hype(
        *("calibrate", queries, "--model", "hyper", "--engine", "sampled", "--sample", 3),
        *("--store", study, "--json"),
    )
    assert measured.code == 0, measured.err
    reached = search("--engine", "sampled", "--recall", 1, "--k", 10, "--json").json
    assert reached["evaluations"]["mean"] == 120


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("share=2", ["share=2", "above 0 and at most 1", "0.5 by default"]),
        ("share=much", ["share=much", "a number"]),
        ("sede=1", ["no option 'sede'", "Did you mean 'seed'"]),
        ("ef_search=9", ["ef_search is an option of hnsw", "seed, share"]),
    ],
)
@pytest.mark.usefixtures("installed")
def test_a_wrong_option_is_refused(
    search: Callable[..., Any], option: str, words: list[str]
) -> None:
    refused = search("--engine", "sampled", "-o", option)
    assert refused.code == USAGE
    for word in words:
        assert word in " ".join(refused.err.split())


@pytest.mark.usefixtures("folder")
def test_what_merely_lies_on_the_path_is_no_engine(search: Callable[..., Any]) -> None:
    refused = search("--engine", "sampled")
    assert (refused.code, "There is no engine 'sampled'" in refused.err) == (USAGE, True)
    assert "sampled" not in sys.modules
