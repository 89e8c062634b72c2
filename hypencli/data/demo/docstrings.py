"""Docstrings of the Python standard library of this machine, read without importing it.

Every module, class, function and method with a docstring is one :class:`Symbol`. Sources are parsed
with ``ast``, so no code runs. Symbols are ordered by qualified name.

A symbol has the name that a user would import: ``asyncio.gather``, not ``asyncio.tasks.gather``;
``datetime.date``, whether its source is ``datetime.py`` (3.11) or ``_pydatetime.py`` (3.12).
Names of private modules count only if a public module exports them
(:mod:`hypencli.data.demo.public_names`).
"""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from hypencli.data.demo.public_names import Module, public_names
from hypencli.errors import DataError

SymbolKind: TypeAlias = Literal["module", "class", "function", "method"]
FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

SKIPPED_FOLDERS = frozenset(
    {"__pycache__", "dist-packages", "lib-dynload", "site-packages", "_bundled", "test", "tests"}
    | {"distutils", "encodings", "idlelib", "lib2to3", "pydoc_data", "turtledemo"}
)
"""Folders that are not part of the library, are not documentation, or hold only tables."""

SKIPPED_MODULES = frozenset({"antigravity", "ntpath", "this"})
"""Modules that are left out; ``ntpath`` repeats ``posixpath``, which is read as ``os.path``."""

MIN_DOCSTRING_CHARS = 20
MAX_SIGNATURE_CHARS = 160


@dataclass(frozen=True, slots=True)
class Symbol:
    """One documented name of the standard library.

    Attributes:
        name: Qualified name, such as ``csv.DictReader.fieldnames``.
        signature: The name with its parameters.
        paragraphs: The docstring, split at blank lines, with collapsed white space; never empty.
    """

    name: str
    kind: SymbolKind
    signature: str
    paragraphs: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The first paragraph."""
        return self.paragraphs[0]

    @property
    def text(self) -> str:
        """Signature and docstring."""
        return "\n\n".join((self.signature, *self.paragraphs))

    @property
    def body(self) -> str:
        """Signature and docstring without its first paragraph."""
        return "\n\n".join((self.signature, *self.paragraphs[1:]))


def read_symbols(root: Path | None = None) -> list[Symbol]:
    """Read the documented public names of a standard library.

    Left out: tests, bundled applications, private names, docstrings of fewer than 20 characters,
    and repeated docstrings.

    Args:
        root: Folder with the sources of the library; None takes that of this interpreter.

    Returns:
        Symbols ordered by name, with unique names.

    Raises:
        DataError: The folder holds no Python source with docstrings.
    """
    folder = root or Path(sysconfig.get_path("stdlib"))
    modules = list(_parse_modules(folder))
    names = public_names(modules)
    collected = [symbol for module in modules for symbol in _module_symbols(module, names)]
    symbols = _without_repeats(sorted(collected, key=lambda symbol: symbol.name))
    if not symbols:
        raise DataError(
            f"no documented Python source under {folder}",
            hint="install the standard library's sources (some distributions ship only .pyc files)",
        )
    return symbols


def _parse_modules(folder: Path) -> Iterator[Module]:
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if _is_skipped(parts):
            continue
        package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if package else parts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in old docstrings
            tree = ast.parse(path.read_bytes(), filename=str(path))
        yield Module(name=name, tree=tree, is_package=package)


def _is_skipped(parts: Sequence[str]) -> bool:
    folders = parts[:-1]
    return (
        parts[0] in SKIPPED_MODULES
        or parts[-1] == "__main__"
        or any(folder in SKIPPED_FOLDERS or not folder.isidentifier() for folder in folders)
    )


def _module_symbols(module: Module, names: dict[tuple[str, str], str]) -> Iterator[Symbol]:
    if module.is_public:
        yield from _symbol(module.tree, name=module.name, kind="module", signature=module.name)
    for node in _definitions(module.tree.body):
        home = names.get((module.name, node.name), module.name if module.is_public else None)
        if home is not None:
            yield from _definition_symbols(node, prefix=home, in_class=False)


def _definitions(body: Sequence[ast.stmt]) -> Iterator[ast.ClassDef | FunctionNode]:
    """Classes and functions of a body, including those under ``if`` and ``try``."""
    for node in body:
        if isinstance(node, ast.ClassDef | FunctionNode):
            yield node
        elif isinstance(node, ast.If | ast.Try):
            handlers = node.handlers if isinstance(node, ast.Try) else []
            for block in (node.body, *(handler.body for handler in handlers), node.orelse):
                yield from _definitions(block)


def _definition_symbols(
    node: ast.ClassDef | FunctionNode, *, prefix: str, in_class: bool
) -> Iterator[Symbol]:
    if node.name.startswith("_"):
        return
    name = f"{prefix}.{node.name}"
    if isinstance(node, ast.ClassDef):
        signature = f"class {name}{_class_parameters(node)}"
        yield from _symbol(node, name=name, kind="class", signature=signature)
        for child in _definitions(node.body):
            yield from _definition_symbols(child, prefix=name, in_class=True)
        return
    signature = name if _is_property(node) else f"{name}{_parameters(node, bound=in_class)}"
    kind: SymbolKind = "method" if in_class else "function"
    yield from _symbol(node, name=name, kind=kind, signature=signature)


def _symbol(
    node: ast.Module | ast.ClassDef | FunctionNode, *, name: str, kind: SymbolKind, signature: str
) -> Iterator[Symbol]:
    docstring = ast.get_docstring(node) or ""
    if len(docstring) >= MIN_DOCSTRING_CHARS:
        yield Symbol(name, kind, signature, _paragraphs(docstring))


def _paragraphs(docstring: str) -> tuple[str, ...]:
    paragraphs: list[list[str]] = [[]]
    for line in docstring.splitlines():
        if line.strip():
            paragraphs[-1].extend(line.split())
        elif paragraphs[-1]:
            paragraphs.append([])
    return tuple(" ".join(words) for words in paragraphs if words)


def _class_parameters(node: ast.ClassDef) -> str:
    for child in _definitions(node.body):
        if child.name == "__init__" and isinstance(child, FunctionNode):
            return _parameters(child, bound=True)
    return ""


def _parameters(node: FunctionNode, *, bound: bool) -> str:
    """Names and defaults without annotations: ``(f, fieldnames=None, *args)``."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    plain = len(positional) - len(arguments.defaults)
    shown = [argument.arg for argument in positional[:plain]]
    for argument, default in zip(positional[plain:], arguments.defaults, strict=True):
        shown.append(f"{argument.arg}={ast.unparse(default)}")
    if bound and shown and not _is_static(node):
        shown = shown[1:]
    if arguments.vararg or arguments.kwonlyargs:
        shown.append(f"*{arguments.vararg.arg if arguments.vararg else ''}")
    for argument, keyword in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        shown.append(argument.arg if keyword is None else f"{argument.arg}={ast.unparse(keyword)}")
    if arguments.kwarg:
        shown.append(f"**{arguments.kwarg.arg}")
    listed = ", ".join(shown)
    return f"({listed})" if len(listed) <= MAX_SIGNATURE_CHARS else "(...)"


def _decorators(node: FunctionNode) -> set[str]:
    return {ast.unparse(decorator).split(".")[-1] for decorator in node.decorator_list}


def _is_static(node: FunctionNode) -> bool:
    return "staticmethod" in _decorators(node)


def _is_property(node: FunctionNode) -> bool:
    return not _decorators(node).isdisjoint({"property", "cached_property", "setter"})


def _without_repeats(symbols: Sequence[Symbol]) -> list[Symbol]:
    """Keep the first symbol of equal names and of equal docstrings."""
    names: set[str] = set()
    docstrings: set[tuple[str, ...]] = set()
    kept: list[Symbol] = []
    for symbol in symbols:
        if symbol.name not in names and symbol.paragraphs not in docstrings:
            kept.append(symbol)
        names.add(symbol.name)
        docstrings.add(symbol.paragraphs)
    return kept
