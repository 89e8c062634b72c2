"""Extensions that installed packages offer by entry point.

Code of a package runs only if the package was installed for this interpreter. A package that only
lies on the import path, such as one in the current folder, is not trusted.
"""

from __future__ import annotations

import importlib.util
import json
import site
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import importlib.metadata

__all__ = ["offered", "offered_names"]


def offered(group: str, name: str) -> object | None:
    """Load the object that an installed package offers under a name, or None.

    Nothing else is imported.

    Args:
        group: The group of entry points, such as ``hypencli.converters``.
        name: The name of the entry point, or its value ``module:attribute``.
    """
    for point in _trusted_points(group):
        if name in (point.name, point.value.replace(" ", "")):
            loaded: object = point.load()
            return loaded
    return None


def offered_names(group: str) -> list[str]:
    """Return the sorted names of all entry points that installed packages offer in a group.

    Nothing is imported.
    """
    return sorted({point.name for point in _trusted_points(group)})


def _trusted_points(group: str) -> Iterator[importlib.metadata.EntryPoint]:
    import importlib.metadata

    points = importlib.metadata.entry_points(group=group)
    return (point for point in points if _is_installed(point))


def _is_installed(point: importlib.metadata.EntryPoint) -> bool:
    """Return whether the entry point's package is installed and contains its module."""
    if point.dist is None:
        return False
    home = Path(str(point.dist.locate_file(""))).resolve()
    if home not in _install_folders():
        return False
    places = _module_places(point.module.partition(".")[0])
    allowed = [home, *_editable_folder(point.dist)]
    return bool(places) and all(
        any(place.is_relative_to(folder) for folder in allowed) for place in places
    )


def _install_folders() -> set[Path]:
    """Return the folders in which packages are installed for this interpreter."""
    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    folders += site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return {Path(folder).resolve() for folder in folders}


def _module_places(module: str) -> list[Path]:
    """Return the places of a top-level module on the import path; empty if it does not exist."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    places = spec.submodule_search_locations or ([spec.origin] if spec.origin else [])
    return [Path(place).resolve() for place in places]


def _editable_folder(package: importlib.metadata.Distribution) -> Iterable[Path]:
    """Return the source folder of a package if it was installed in editable mode."""
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        record = json.loads(package.read_text("direct_url.json") or "{}")
        editable = record.get("dir_info", {}).get("editable") is True
        url = urlsplit(str(record.get("url")))
    except (ValueError, AttributeError):
        return []
    return [Path(url2pathname(url.path)).resolve()] if editable and url.scheme == "file" else []
