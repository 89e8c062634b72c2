"""Every command of docs/hard-tasks.md runs, and prints what the page says."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from hypencli.__main__ import main
from hypencli.data.prepare import PREPARATIONS


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "hard-tasks.md").read_text(encoding="utf-8")


def runs(page: str) -> list[tuple[str, str]]:
    """Commands with what is printed below them."""
    blocks = re.findall(r"(?:^    .*\n)+", page, flags=re.MULTILINE)
    text = "".join(re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks)
    pieces = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)[1:]
    return list(zip(pieces[::2], pieces[1::2], strict=True))


def test_the_page_prints_what_the_commands_print(
    page: str,
    hard_tasks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(hard_tasks, tmp_path / "samples")
    broken = Path(shutil.copytree(hard_tasks / "tot-test", tmp_path / "broken"))
    qrels = broken / "dev" / "qrel.txt"
    lines = qrels.read_text(encoding="utf-8").splitlines(keepends=True)
    qrels.write_text("".join([lines[0], "152 0 77 1\n", *lines[1:]]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert len(runs(page)) == 10
    for command, expected in runs(page):
        words = shlex.split(command)
        if words[0] == "cd":
            monkeypatch.chdir(words[1])
            continue
        code = main(words[1:])
        captured = capsys.readouterr()
        printed = (captured.out or captured.err).replace(str(tmp_path), "…")
        # Word by word, as long lines are broken where the terminal ends.
        assert printed.split() == expected.split(), command
        assert (code == 0) == (not expected.startswith("Error"))


def test_every_dataset_is_on_the_page(page: str) -> None:
    tables = re.findall(r"^\| `([\w-]+)` \|", page, flags=re.MULTILINE)
    assert tables == [*PREPARATIONS, *PREPARATIONS]
    assert all(f"hype data prepare {name}" in page for name in PREPARATIONS)
