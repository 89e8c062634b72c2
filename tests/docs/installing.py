"""Installs the example of a page about extending hype, as a package of a user's own."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from hypencli import plugins


def install_page(page: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a page's module and metadata to a folder that counts as one of the interpreter's.

    Args:
        page: Has one block of Python, which begins with the name of its file, and one of TOML.
        site: The folder; not there yet.
        monkeypatch: Of the test.

    Returns:
        The name of the module.
    """
    text = page.read_text(encoding="utf-8")
    ((module, code),) = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", text, flags=re.DOTALL)
    (project,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    home = site / f"{module}-1.0.dist-info"
    home.mkdir(parents=True)
    (site / f"{module}.py").write_text(code, encoding="utf-8")
    metadata = tomllib.loads(project)["project"]
    (home / "METADATA").write_text(f"Name: {metadata['name']}\nVersion: 1.0\n", encoding="utf-8")
    points = [
        f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in points.items())
        for group, points in metadata["entry-points"].items()
    ]
    (home / "entry_points.txt").write_text("\n".join(points) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    folders = plugins._install_folders() | {site.resolve()}
    monkeypatch.setattr(plugins, "_install_folders", lambda: folders)
    return module


def typed_commands(page: Path) -> list[list[str]]:
    """The commands of hype that a page tells its reader to type, without ``hype``."""
    lines = re.findall(r"^    hype (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [line.split() for line in lines]
