"""What the source tree is like, in numbers. ``python tests/structure.py [ROOT]`` prints a table.

Nothing is imported: every module is parsed. ``tests/test_structure.py`` sets the limits.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGES = {"hypencli": Path("hypencli"), "hypestore": Path("store/hypestore")}
"""Folder of each package of the project, below its root."""

MAX_MODULES = 20
MAX_LINES = 60
MAX_PARAMETERS = 8

Graph = Mapping[str, frozenset[str]]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Signature:
    """One function or method.

    Attributes:
        name: Its module and its qualified name, as in ``hypestore.store:Store.open``.
        lines: From ``def`` to its last line, the docstring included.
        body_lines: Those below the signature.
        parameters: How many, without ``self`` and ``cls``.
        is_verb: Whether it is a command of ``hype``, whose parameters are its options.
    """

    name: str
    lines: int
    body_lines: int
    parameters: int
    is_verb: bool


@dataclass(frozen=True)
class Structure:
    """The modules of a project.

    Attributes:
        root: The folder that holds ``hypencli``, ``store`` and ``tests``.
    """

    root: Path

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Dotted name -> file; a package has its own name, without ``__init__``."""
        modules = {}
        for package, place in PACKAGES.items():
            for path in sorted((self.root / place).rglob("*.py")):
                parts = path.relative_to(self.root / place).with_suffix("").parts
                modules[".".join((package, *parts)).removesuffix(".__init__")] = path
        return modules

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        """Dotted name -> its syntax tree."""
        return {name: ast.parse(path.read_text()) for name, path in self.modules.items()}

    @cached_property
    def imports(self) -> Graph:
        """Module -> modules that it imports anywhere: in functions and for type checks too."""
        return {name: frozenset(self._imported(tree)) - {name} for name, tree in self.trees.items()}

    def _imported(self, tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (one.name for one in node.names if one.name in self.modules)
            elif isinstance(node, ast.ImportFrom) and node.module in self.modules:
                for one in node.names:
                    full = f"{node.module}.{one.name}"
                    yield full if full in self.modules else node.module

    def imports_between_parts(self, package: str) -> Graph:
        """Part of a package (a module or sub-package) -> parts of it that it imports."""
        parts: defaultdict[str, set[str]] = defaultdict(set)
        for module, imported in self.imports.items():
            part = _part(module, package)
            if part is not None:
                others = (_part(one, package) for one in imported)
                parts[part] |= {one for one in others if one is not None and one != part}
        return {part: frozenset(others) for part, others in parts.items()}

    @cached_property
    def packages(self) -> list[str]:
        """Names of all packages, those inside others too."""
        return [name for name, path in self.modules.items() if path.name == "__init__.py"]

    @cached_property
    def folders(self) -> dict[str, int]:
        """Folder relative to the root -> modules in it, without ``__init__``."""
        counts: defaultdict[str, int] = defaultdict(int)
        for path in self.modules.values():
            folder = path.parent.relative_to(self.root).as_posix()
            counts[folder] += path.name != "__init__.py"
        return dict(counts)

    @cached_property
    def classes(self) -> dict[str, list[str]]:
        """Class name -> the modules that define it at their top level."""
        places: defaultdict[str, list[str]] = defaultdict(list)
        for name, tree in self.trees.items():
            for node in tree.body:
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(name)
        return dict(places)

    @cached_property
    def functions(self) -> list[Signature]:
        """Every function and method, nested ones too."""
        return [one for name, tree in self.trees.items() for one in _functions(tree, f"{name}:")]

    def lines(self, *folders: str) -> int:
        """Lines of all Python files below folders."""
        paths = (path for folder in folders for path in (self.root / folder).rglob("*.py"))
        return sum(len(path.read_text().splitlines()) for path in paths)


def _part(module: str, package: str) -> str | None:
    """The part of a package that a module belongs to; None for the package and for others."""
    inside = module.removeprefix(f"{package}.")
    return None if inside == module else inside.split(".")[0]


def _functions(node: ast.AST, prefix: str) -> Iterator[Signature]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield _signature(child, prefix)
        if isinstance(child, Function | ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        else:
            yield from _functions(child, prefix)


def _signature(function: Function, prefix: str) -> Signature:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    annotations = [ast.unparse(one.annotation) for one in named if one.annotation is not None]
    last = function.end_lineno or function.lineno
    return Signature(
        name=f"{prefix}{function.name}",
        lines=last - function.lineno + 1,
        body_lines=last - function.body[0].lineno + 1,
        parameters=sum(one.arg not in ("self", "cls") for one in named)
        + sum(one is not None for one in (arguments.vararg, arguments.kwarg)),
        is_verb=prefix.startswith("hypencli.cli.")
        and any(one.startswith("Annotated[") for one in annotations),
    )


def circles(graph: Graph) -> list[list[str]]:
    """Groups of nodes that reach each other: Tarjan's strongly connected components above one."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = lowest[node] = len(index)
        stack.append(node)
        for target in graph.get(node, ()):
            if target not in index:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in stack:
                lowest[node] = min(lowest[node], index[target])
        if lowest[node] == index[node]:
            start = stack.index(node)
            group = stack[start:]
            del stack[start:]
            if len(group) > 1:
                groups.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return groups


def table(structure: Structure) -> list[tuple[str, int]]:
    """The figures of a tree, each with what it counts."""
    functions = structure.functions
    long = [one for one in functions if one.lines > MAX_LINES]
    wide = [one for one in functions if one.parameters > MAX_PARAMETERS]
    between = [circles(structure.imports_between_parts(one)) for one in structure.packages]
    return [
        ("modules", len(structure.modules) - len(structure.packages)),
        ("folders", len(structure.folders)),
        (f"folders with more than {MAX_MODULES} modules", _above(structure.folders, MAX_MODULES)),
        ("modules in the largest folder", max(structure.folders.values())),
        ("import circles of modules", len(circles(structure.imports))),
        ("import circles between parts of a package", sum(map(len, between))),
        ("class names", len(structure.classes)),
        (
            "class names in two modules or more",
            sum(len(places) > 1 for places in structure.classes.values()),
        ),
        ("functions", len(functions)),
        (f"functions above {MAX_LINES} lines", len(long)),
        ("    of these, verbs of the command line", sum(one.is_verb for one in long)),
        (f"signatures above {MAX_PARAMETERS} parameters", len(wide)),
        ("    of these, verbs of the command line", sum(one.is_verb for one in wide)),
        ("lines in product", structure.lines("hypencli", "store/hypestore")),
        ("lines in tests", structure.lines("tests")),
    ]


def _above(counts: Mapping[str, int], limit: int) -> int:
    return sum(count > limit for count in counts.values())


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[1]
    for what, count in table(Structure(Path(sys.argv[1]) if len(sys.argv) > 1 else default)):
        sys.stdout.write(f"{count:8,}  {what}\n")
