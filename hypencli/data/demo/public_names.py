"""Public names of definitions in private modules, found from import statements alone.

``asyncio/__init__.py`` has ``from .tasks import *``, so ``asyncio.tasks.gather`` is
``asyncio.gather``. Since 3.12 ``datetime.py`` has ``from _pydatetime import *``, so the classes of
``_pydatetime`` are those of ``datetime``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

FACES: Mapping[str, str] = {
    "_collections_abc": "collections.abc",
    "_pydecimal": "decimal",
    "_pyio": "io",
    "genericpath": "os.path",
    "posixpath": "os.path",
}
"""Module -> public name, where some Python versions have no import statement that shows it."""


@dataclass(frozen=True, slots=True)
class Module:
    """One parsed source file."""

    name: str
    tree: ast.Module
    is_package: bool

    @property
    def is_public(self) -> bool:
        """Whether no part of the name is private and the module has no other public name."""
        private = any(part.startswith("_") for part in self.name.split("."))
        return not private and self.name not in FACES


def public_names(modules: Sequence[Module]) -> dict[tuple[str, str], str]:
    """Find the public module of every exported definition.

    A package exports what it imports from its own modules. A public module exports what it imports
    from a private module by ``import *``, by listing the name in ``__all__``, or from a module of
    the same package.

    Returns:
        ``(defining module, name)`` -> public module. Of several candidates: first one that lists
        the name in ``__all__``, then a package, then the alphabetically first.
    """
    by_name = {module.name: module for module in modules}
    homes: dict[tuple[str, str], tuple[bool, bool, str]] = {}
    for module in modules:
        if not module.is_public:
            continue
        listed = listed_names(module)
        for source, name, everything in _imported(module, by_name):
            if not _hands_on(module, source, meant=everything or name in listed):
                continue
            rank = (name not in listed, not module.is_package, module.name)
            homes[source.name, name] = min(rank, homes.get((source.name, name), rank))
    names = {key: rank[2] for key, rank in homes.items()}
    return names | {
        (source, name): face
        for source, face in FACES.items()
        if source in by_name
        for name in listed_names(by_name[source]) | _defined_names(by_name[source])
    }


def listed_names(module: Module) -> set[str]:
    """The names of ``__all__`` that are literal strings."""
    names: set[str] = set()
    for node in module.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AugAssign):
            targets = [node.target]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            constants = (part for part in ast.walk(node) if isinstance(part, ast.Constant))
            names |= {part.value for part in constants if isinstance(part.value, str)}
    return names


def _hands_on(module: Module, source: Module, *, meant: bool) -> bool:
    if source.is_public:
        return module.is_package and source.name.startswith(f"{module.name}.")
    return meant or source.name.split(".")[0] == module.name.split(".")[0]


def _imported(module: Module, by_name: Mapping[str, Module]) -> Iterator[tuple[Module, str, bool]]:
    """Source module, name, and whether by ``import *``, of the imports at top level."""
    for node in _imports(module.tree.body):
        source = by_name.get(_absolute(module, node))
        if source is None:
            continue
        for alias in node.names:
            if alias.name == "*":
                yield from ((source, name, True) for name in sorted(_star_names(source)))
            elif alias.asname in {None, alias.name}:
                yield source, alias.name, False


def _imports(body: Sequence[ast.stmt]) -> Iterator[ast.ImportFrom]:
    for node in body:
        if isinstance(node, ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If | ast.Try):
            handlers = node.handlers if isinstance(node, ast.Try) else []
            for block in (node.body, *(handler.body for handler in handlers), node.orelse):
                yield from _imports(block)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    parts = module.name.split(".")
    kept = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*kept, node.module] if node.module else kept)


def _star_names(module: Module) -> set[str]:
    return listed_names(module) or _defined_names(module)


def _defined_names(module: Module) -> set[str]:
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    names = {node.name for node in ast.walk(module.tree) if isinstance(node, definitions)}
    return {name for name in names if not name.startswith("_")}
