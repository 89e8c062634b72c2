"""Optional packages: how to install each one.

The commands name the packages themselves. They do not name an extra of this project, because an
extra needs the place from where this installation came, which pip does not always record.
"""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Sequence

from hypencli.errors import MissingDependencyError

REQUIREMENTS = {
    "hnswlib": "hnswlib>=0.8",
    "faiss": "faiss-cpu>=1.11",
    "pynndescent": "pynndescent>=0.7",
    "bm25s": "bm25s>=0.3",
    "Stemmer": "PyStemmer>=3.0",
    "fastapi": "fastapi>=0.120",
    "uvicorn": "uvicorn>=0.34",
    "prometheus_client": "prometheus-client>=0.21",
    "mcp": "mcp>=2.3,<3",
}
"""Module that can be imported -> the requirement that installs it, as in ``pyproject.toml``."""


def install_command(module: str) -> str:
    """Return the command that installs an optional package.

    Args:
        module: The name by which it is imported.
    """
    return f"pip install {shlex.quote(REQUIREMENTS[module])}"


def require_packages(modules: Sequence[str], what: str) -> None:
    """Refuse work whose optional packages are not installed.

    Args:
        modules: Names by which they are imported.
        what: What needs them, as the subject of a sentence.

    Raises:
        MissingDependencyError: A package is missing. The hint installs all that are.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        named = " ".join(shlex.quote(REQUIREMENTS[module]) for module in missing)
        raise MissingDependencyError(
            f"{what} needs {' and '.join(missing)}, not installed here.",
            hint=f"pip install {named}",
        )
