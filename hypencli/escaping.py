"""Escape untrusted text for a terminal, a shell, JSON, CSV, Markdown, HTML and LaTeX.

Documents, queries, ids and names come from files of other people. Characters that a terminal, a
browser, a spreadsheet, Markdown or LaTeX would treat as an instruction are removed or escaped.
``--json`` keeps every character, the dangerous ones as escapes.
"""

from __future__ import annotations

import html
import json
import re
import shlex
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
"""Beginnings of a cell that a spreadsheet may read as a formula or a command."""
_QUOTED = re.compile(r'[,;"\t\n]|^ ')
"""A cell with one of these is quoted; some programs split lines at semicolons or tabs."""

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
        # After the end of a row, LaTeX would read these as its arguments.
        "[": "{[}",
        "]": "{]}",
        "*": "{*}",
    }
)


def escape_terminal(text: str) -> str:
    """Remove control characters, marks of text direction and invalid characters."""
    return _UNSAFE.sub("", text)


def escape_line(text: str) -> str:
    """Escape for a terminal and join to one line, so that a name cannot imitate another line."""
    return _BLANKS.sub(" ", escape_terminal(text)).strip()


def escape_shell(text: object) -> str:
    """Quote a name or a path as one word of a shell, as in the commands of hints.

    Someone copies such a command into a shell, which must not run a part of the name.
    """
    return shlex.quote(escape_terminal(str(text)).replace("\n", " "))


def escape_json(value: Any) -> str:
    """Render a value as one line of JSON; dangerous characters are escaped, so no text is lost."""
    return escape_json_strings(json.dumps(value, ensure_ascii=False))


def escape_json_strings(text: str) -> str:
    """Escape dangerous characters in JSON or TOML, where they occur only inside strings."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    r"""Replace characters that an encoding does not have by JSON's escapes: ``\u00e9``.

    This is an error handler for :func:`codecs.register_error`.

    Raises:
        UnicodeError: The text is decoded, not encoded.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    codes = (units[i : i + 2].hex() for i in range(0, len(units), 2))
    return "".join(f"\\u{code}" for code in codes), error.end


def escape_csv(cells: Iterable[object]) -> str:
    """Render a line of CSV, with an apostrophe before text that a spreadsheet would compute."""
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
    """Escape for Markdown, in one line: no markup, links, images or HTML take effect."""
    quoted = _MARKDOWN.sub(lambda sign: _ENTITIES.get(sign[0], f"\\{sign[0]}"), escape_line(text))
    return _MARKDOWN_LINK.sub(lambda sign: f"\\{sign[0]}", quoted)


def escape_markdown_code(text: str) -> str:
    """Escape for a Markdown code span, in one line, also inside a table."""
    return escape_line(text).replace("`", "'").replace("|", "\\|")


def escape_html(text: str) -> str:
    """Escape for HTML, in one line, inside an element or a quoted attribute."""
    return html.escape(escape_line(text))


def escape_latex(text: str) -> str:
    """Escape for LaTeX, in one line: no commands and no ends of cells or rows take effect."""
    return escape_line(text).translate(_LATEX)
