"""Every command that a verb suggests is typed, in the state in which it is suggested."""

from __future__ import annotations

import ast
import html
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]

MARKER = re.compile(
    r"(?:Next|  or|Next, in the other store|To name it \S+): (hype .+)|^ {2}(?: {4})?(hype .+)"
)
"""What stands before suggested commands; further ones follow, each on a line of its own."""


@dataclass(frozen=True)
class Case:
    """Commands, of which the last one suggests others.

    Attributes:
        commands: In the finished study; capitals are filled in by :func:`places`.
        suggested: How many commands are suggested.
        fills: What a user puts for a name in capitals, where it is not what other cases put.
        more: What is added to a suggested command that begins so: what this machine lacks for it.
    """

    commands: tuple[str, ...]
    suggested: int = 1
    fills: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)


EXPORT = "export model hyper --output ../hyper --backbone-name BACKBONE"
WITHOUT_RUNS = ("rm hyper-run --force", "rm plain-run --force")
PREPARE = "data prepare {0} --from SAMPLES/{0}"
OF_THE_HUB = {
    "hype train": "--set model.initial=../hyper --set data.query_max_length=32 "
    "--set data.passage_max_length=32 --set training.batch_size=2 --set training.chunk_size=none"
}
"""The recipe begins with a model of the hub, which is larger than the tests' own."""

CASES = {
    "init": Case(
        ("init elsewhere",),
        2,
        {"NAME": "own"},
        {"hype train": "--name own --store elsewhere", "hype encode": "--store elsewhere"},
    ),
    "recipes": Case(("recipes",), 2, {"NAME": "RECIPE"}),
    "train": Case(("train RECIPE --name third",)),
    "import model": Case(("import model BACKBONE --pooling mean --name own",)),
    "import model, encoded already": Case((EXPORT, "import model ../hyper --name own")),
    "encode": Case(("encode DATASET --model hyper --max-length 16",), 2),
    "import embeddings": Case(
        (
            "export embeddings hyper-docs --output docs.npy",
            "import embeddings docs.npy --ids docs.ids.txt --model hyper --name again",
        )
    ),
    "calibrate": Case(("calibrate QUERIES --model hyper",)),
    "search": Case(("search QUERIES --model hyper --k 5",)),
    "a name that is not given": Case(
        ("search QUERIES --model hyper --embeddings hyper-docs --k 20 --qrels QRELS --name new",),
        2,
    ),
    "engines": Case(("engines",), 1, {"NAME": "guided"}),
    "fuse": Case(("fuse hyper-run plain-run --name both",)),
    "import run": Case(
        ("export run hyper-run --output run.trec", "import run run.trec --name theirs")
    ),
    "perturb": Case(
        (
            "search QUERIES --qrels QRELS --name base",
            "perturb QUERIES --kind misspelling --output changed.jsonl",
        ),
        2,
        {"BASE_RUN": "base"},
    ),
    "report": Case((*WITHOUT_RUNS, "import run RUN_FILE --name RUN", "report"), 2),
    "costs, nothing timed": Case((*WITHOUT_RUNS, "costs"), 2),
    "costs, all exact": Case(("costs --k 10",)),
    "costs, not checked": Case(
        (
            "search QUERIES --model hyper --approx --k 5 --query-max-length 16",
            "costs --k 5",
        ),
    ),
    "report as a page": Case(("import run RUN_FILE --name RUN", "report --html page.html"), 3),
    "mine": Case(("mine hyper-run --qrels QRELS --output mined.jsonl",)),
    "teach": Case(("teach ROWS --bi-encoder plain --output scored.jsonl",)),
    "replicate": Case(("replicate",), 1, {"NAME": "efficient"}),
    "export study": Case(("export study study.zip",)),
    "import study": Case(("export study study.zip", "import study study.zip --store EMPTY")),
    "data list": Case(
        ("data list",), 1, {"NAME": "tot-test"}, {"hype data": "--from SAMPLES/tot-test"}
    ),
    "followir-train": Case((EXPORT, PREPARE.format("followir-train")), 2, more=OF_THE_HUB),
    "tot-train": Case((EXPORT, PREPARE.format("tot-train")), 2, more=OF_THE_HUB),
    "tot-test": Case((PREPARE.format("tot-test"),), 2),
    "followir-test": Case((PREPARE.format("followir-test"),), 2),
}


@pytest.fixture
def places(
    study: Path,
    tmp_path: Path,
    tiny_collection: Path,
    tiny_backbone: Path,
    hard_tasks: Path,
    hype: Hype,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, str]:
    """What a user puts for each name in capitals. The study is the current folder."""
    monkeypatch.chdir(study)
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        f'extends = "tiny"\nmodel.backbone = "{tiny_backbone}"\n'
        f'data.train = "{tiny_collection / "train.jsonl"}"\ntraining.steps = 2\n',
        encoding="utf-8",
    )
    run = tmp_path / "run.trec"
    assert hype("export", "run", "plain-run", "--output", run).code == 0
    assert hype("init", tmp_path / "empty").code == 0
    judged = str(tiny_collection / "qrels.txt")
    return {
        "DATASET": str(tiny_collection / "corpus.jsonl"),
        "QUERIES": str(tiny_collection / "queries.jsonl"),
        **dict.fromkeys(("QRELS", "FILE", "FILE_OR_DATASET"), judged),
        "ROWS": str(tiny_collection / "train.jsonl"),
        "BACKBONE": str(tiny_backbone),
        "RECIPE": str(recipe),
        "RUN": "imported",
        "RUN_FILE": str(run),
        "SAMPLES": str(hard_tasks),
        "EMPTY": str(tmp_path / "empty"),
    }


@pytest.fixture
def typed(
    hype: Hype, places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Type a line, with its names filled in; it must be done."""

    def run(line: str, fills: dict[str, str] | None = None) -> str:
        known = {**places, **{k: places.get(v, v) for k, v in (fills or {}).items()}}
        line = re.sub(r"\b[A-Z][A-Z_]+\b", lambda word: known.get(word[0], word[0]), line)
        done = hype(*shlex.split(line.removeprefix("hype ")))
        assert done.code == 0, f"hype {line}\n{done.out}{done.err}"
        page = Path("page.html")
        shown = html.unescape(page.read_text(encoding="utf-8")) if page.exists() else ""
        return done.out + "\n".join(re.findall(r"Next: hype [^<]+", shown))

    return run


def suggestions(out: str) -> list[str]:
    """The commands that a text suggests, in order."""
    lines = [match[1] or match[2] for match in map(MARKER.search, out.splitlines()) if match]
    return [part for line in lines for part in re.split(r", (?:or|then) ", line.rstrip("."))]


@pytest.mark.parametrize("case", CASES)
def test_what_is_suggested_can_be_typed(case: str, typed: Callable[..., Any]) -> None:
    commands, wanted = CASES[case].commands, CASES[case]
    for command in commands:
        out = typed(command)
    SHOWN[case] = out
    found = suggestions(out)
    assert len(found) == wanted.suggested, out
    for command in found:
        if command == "the same command again":
            typed(commands[-1])
            continue
        more = [text for start, text in wanted.more.items() if command.startswith(start)]
        typed(" ".join([command, *more]), wanted.fills)


SHOWN: dict[str, str] = {}
"""What the last command of each case has shown in this process."""


def texts_of(path: Path) -> Iterator[str]:
    """The texts in a module but its docstrings, with ``{}`` for what is filled in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield "".join(map(str, parts))
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in inside
        ):
            yield node.value


MODULES = sorted((Path(__file__).resolve().parents[2] / "hypencli").rglob("*.py"))
SUGGESTED = sorted(
    {
        match[0].strip()
        for path in MODULES
        for text in texts_of(path)
        for match in re.finditer(
            r"(?:Next|  or|Next, in the other store|To name it \{\}): hype .+", text
        )
    }
)


def test_every_suggestion_is_of_a_case() -> None:
    """So that a new one needs a case above."""
    if SHOWN.keys() != CASES.keys():
        pytest.skip("only after all cases of this file")
    shown = "\n".join(SHOWN.values())
    patterns = {text: ".*".join(map(re.escape, text.split("{}"))) for text in SUGGESTED}
    assert len(patterns) > 15
    assert [text for text, pattern in patterns.items() if not re.search(pattern, shown)] == []


PROSE = ("format", "does", "{}")
"""What follows the name of the program where no command is meant."""


def commands_in(text: str) -> Iterator[list[str]]:
    """Words of every command that a text names, to the end of its sentence or line."""
    for match in re.finditer(r"hype ([a-z{][^\n`;:,()]*)", text):
        words = [word.rstrip(".") for word in match[1].split()]
        if words[0] not in PROSE:
            yield words


def unknown(root: Any, words: list[str]) -> set[str]:
    """The verb or the options of a command that the command line does not have."""
    verb = root
    for word in words:
        verbs = getattr(verb, "commands", None)
        if not verbs or (word not in verbs and verb is not root):
            break
        if word not in verbs:
            return {word}
        verb = verbs[word]
    options = {word for word in words if re.fullmatch(r"--[a-z-]+", word)}
    return options - {name for one in verb.params for name in (*one.opts, *one.secondary_opts)}


def test_every_command_in_a_text_has_its_verb_and_options() -> None:
    """In hints and errors too, which appear in more states than are tried above."""
    from hypencli.cli.app import command as command_line

    root = command_line()
    named = [words for path in MODULES for text in texts_of(path) for words in commands_in(text)]
    assert len(named) > 150
    wrong = [f"hype {' '.join(words)}: {bad}" for words in named if (bad := unknown(root, words))]
    assert not wrong, "\n".join(wrong)
    assert unknown(root, ["serch"]) == {"serch"}
    assert unknown(root, ["export", "run", "NAME", "--pareto"]) == {"--pareto"}
