"""Text that others wrote, made harmless for each place where it is shown.

Documents, queries, ids, names and messages about them come from files of others. What a terminal,
a browser, a spreadsheet, Markdown or LaTeX would take as an instruction is taken out or written so
that it stands for itself. ``--json`` keeps every character, the harmful ones as escapes.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from typing import Any

_UNSAFE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters; tabs and line ends stay
    "\u061c\u200e\u200f"  # marks of direction
    "\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates
    "\u2028\u2029\ufeff"  # separators of lines and paragraphs, byte order mark
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"  # annotations, no characters at all
    "]"
)
_BLANKS = re.compile(r"\s+")

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠|%]")
"""How a cell begins that a spreadsheet may take for a formula, or for a command of old."""
_QUOTED = re.compile(r'[,;"\t\n]|^ ')
"""What a cell is quoted for, also where programs cut lines at semicolons or tabs."""

_MARKDOWN = re.compile(r"[\\`*_\[\]<&~|$]")
_ENTITIES = {"<": "&lt;", "&": "&amp;"}
_MARKDOWN_LINK = re.compile(r"(?<=\w):(?=//)|(?<=\bwww)\.", re.IGNORECASE)
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {
        "~": "\\textasciitilde{}",
        "^": "\\textasciicircum{}",
        "\\": "\\textbackslash{}",
        "<": "\\textless{}",
        ">": "\\textgreater{}",
        "|": "\\textbar{}",
        '"': "\\textquotedbl{}",
        # After the end of a row these would be read as its arguments.
        "[": "{[}",
        "]": "{]}",
        "*": "{*}",
    }
)


def escape_terminal(text: str) -> str:
    """Text without what steers a terminal, turns the direction of others, or is no character."""
    return _UNSAFE.sub("", text)


def escape_line(text: str) -> str:
    """The same in one line, so that a name cannot look like a line of the program's own."""
    return _BLANKS.sub(" ", escape_terminal(text)).strip()


def escape_json(value: Any) -> str:
    """A value as JSON in one line: the exact text, with escapes for what is not harmless."""
    return escape_json_strings(json.dumps(value, ensure_ascii=False))


def escape_json_strings(text: str) -> str:
    """JSON or TOML with escapes for what is not harmless, which stands in their strings alone."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def escape_csv(cells: Iterable[object]) -> str:
    """A line of CSV; text that a spreadsheet would calculate begins with an apostrophe."""
    return ",".join(map(_escape_csv_cell, cells)) + "\n"


def _escape_csv_cell(cell: object) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return repr(cell) if isinstance(cell, float) else _escape_csv_cell(str(cell))
    text = escape_terminal(cell)
    if _FORMULA.match(text) and not _is_number(text):
        text = f"'{text}"
    return '"{}"'.format(text.replace('"', '""')) if _QUOTED.search(text) else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?", text) is not None


def escape_markdown(text: str) -> str:
    """Text in one line that Markdown shows as it is: no markup, links, images or HTML in it."""
    quoted = _MARKDOWN.sub(lambda sign: _ENTITIES.get(sign[0], f"\\{sign[0]}"), escape_line(text))
    return _MARKDOWN_LINK.sub(lambda sign: f"\\{sign[0]}", quoted)


def escape_markdown_code(text: str) -> str:
    """Text in one line for between the backticks of a code span, also in a table."""
    return escape_line(text).replace("`", "'").replace("|", "\\|")


def escape_html(text: str) -> str:
    """Text in one line that a browser shows as it is, in an element or a quoted attribute."""
    return html.escape(escape_line(text))


def escape_latex(text: str) -> str:
    """Text in one line that LaTeX sets as it is: no commands, and no end of a cell or row in it."""
    return escape_line(text).translate(_LATEX)
