"""The examples of docs/extending-*.md as packages that are installed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypencli import plugins


@pytest.fixture
def install_example(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], str]]:
    """Install the example of a page as its package would be; gives the whole page back.

    The page has one block of Python, whose first line names its file, and one with entry points.
    """
    folder = tmp_path / "site-packages"
    modules: list[str] = []

    def install(page: str) -> str:
        text = (repository / "docs" / page).read_text(encoding="utf-8")
        ((file, code),) = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", text, flags=re.DOTALL)
        pattern = r'\[project\.entry-points\."([\w.]+)"\]\n([\w-]+) = "([\w.:]+)"'
        ((group, name, value),) = re.findall(pattern, text)
        home = folder / "example-1.0.dist-info"
        home.mkdir(parents=True)
        (folder / file).write_text(code, encoding="utf-8")
        (home / "METADATA").write_text("Name: example\nVersion: 1.0\n", encoding="utf-8")
        points = f"[{group}]\n{name} = {value}\n"
        (home / "entry_points.txt").write_text(points, encoding="utf-8")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setattr(plugins, "_install_folders", lambda: {folder.resolve()})
        modules.append(file.removesuffix(".py"))
        return text

    yield install
    for module in modules:
        sys.modules.pop(module, None)
