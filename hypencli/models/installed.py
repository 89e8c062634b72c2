"""Converters of installed packages: who installs a package has decided to run its code.

A package offers its converters as entry points of the group ``hypencli.converters``. Metadata and
module must both lie where packages are installed: what stands in the current folder, or where
``PYTHONPATH`` leads, may have come with the data.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import site
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

CONVERTERS_GROUP = "hypencli.converters"


def installed_converter(name: str) -> type | None:
    """The class ``module:Class`` if an installed package offers it as a converter, else None.

    Nothing is imported unless one does.
    """
    for point in importlib.metadata.entry_points(group=CONVERTERS_GROUP):
        if point.value.replace(" ", "") == name and _is_installed(point):
            converter = point.load()
            return converter if isinstance(converter, type) else None
    return None


def _is_installed(point: importlib.metadata.EntryPoint) -> bool:
    """Whether its package was installed, and its module is that package's."""
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
    """Where packages are installed for this interpreter."""
    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    folders += site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return {Path(folder).resolve() for folder in folders}


def _module_places(module: str) -> list[Path]:
    """Where a top-level module would be imported from; none where it is not found."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    places = spec.submodule_search_locations or ([spec.origin] if spec.origin else [])
    return [Path(place).resolve() for place in places]


def _editable_folder(package: importlib.metadata.Distribution) -> Iterable[Path]:
    """The folder of a package that was installed to be edited, as its installer recorded it."""
    try:
        record = json.loads(package.read_text("direct_url.json") or "{}")
        editable = record.get("dir_info", {}).get("editable") is True
        url = urlsplit(str(record.get("url")))
    except (ValueError, AttributeError):
        return []
    return [Path(url2pathname(url.path)).resolve()] if editable and url.scheme == "file" else []
