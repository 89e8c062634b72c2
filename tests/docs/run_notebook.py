"""Runs the code cells of a notebook in order, and prints what each would show: HTML, or text."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path


def main() -> None:
    notebook = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            shown = run("".join(cell["source"]), cell["id"], names)
            sys.stdout.write(f"--- {cell['id']}\n{shown}\n")


def run(source: str, name: str, names: dict[str, object]) -> str:
    """What the last line of a cell gives, as a notebook shows it."""
    tree = ast.parse(source, filename=name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    if last is None:
        return ""
    value = eval(compile(ast.Expression(last.value), name, "eval"), names)
    return value._repr_html_() if hasattr(value, "_repr_html_") else repr(value)


if __name__ == "__main__":
    main()
