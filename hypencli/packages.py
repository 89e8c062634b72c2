"""Optional packages: how to install each one.

The commands name the packages themselves. They do not name an extra of this project, because an
extra needs the place from where this installation came, which pip does not always record.
"""

from __future__ import annotations

import shlex

REQUIREMENTS = {
    "hnswlib": "hnswlib>=0.8",
    "faiss": "faiss-cpu>=1.11",
    "pynndescent": "pynndescent>=0.7",
    "bm25s": "bm25s>=0.3",
    "Stemmer": "PyStemmer>=3.0",
}
"""Module that can be imported -> the requirement that installs it, as in ``pyproject.toml``."""


def install_command(module: str) -> str:
    """Return the command that installs an optional package.

    Args:
        module: The name by which it is imported.
    """
    return f"pip install {shlex.quote(REQUIREMENTS[module])}"
