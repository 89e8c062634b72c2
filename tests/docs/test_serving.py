"""What docs/serving.md says of the server: commands, addresses, limits, files of a service."""

from __future__ import annotations

import configparser
import dataclasses
import json
import re
import shlex
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypencli.cli.app import command
from hypencli.serve.app import create_app
from hypencli.serve.settings import RequestLimits, Settings

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
HERE = "http://127.0.0.1:8080"


def block(language: str, place: int = 0) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return str(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)[place])


def check_options(words: list[str]) -> None:
    """Parse a command line of ``hype`` without running it."""
    verb = command(words[1]).commands[words[1]]
    with verb.make_context(words[1], words[2:]):
        pass


def curl(words: list[str]) -> Any:
    """Send what curl would send; only its options -H and -d are known."""
    headers, data, urls = {}, None, []
    rest = iter(words[1:])
    for word in rest:
        if word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = next(rest).encode()
        else:
            urls.append(word)
    (url,) = urls
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as response:
        return json.load(response)


def test_the_quick_start_runs(hype: Callable[..., Any], address: str) -> None:
    lines = [line for line in block("sh").splitlines() if line]
    serve, query, *others = [shlex.split(line.replace(HERE, address)) for line in lines]
    assert serve[:2] == ["hype", "serve"]
    check_options(serve)  # the server of the fixture has this store, this model, and SQL
    assert "1. " in hype(*query[1:]).out
    replies = [curl(words) for words in others]
    keys = [next(iter(reply)) for reply in replies]
    assert keys == ["query", "answers", "model", "object", "columns", "runs"]
    exec(block("python").replace(HERE, address), {})
    program = json.loads(block("json"))["mcpServers"]["hype"]
    check_options([program["command"], *program["args"]])


def test_the_table_of_addresses_is_that_of_the_server(finished_study: Path) -> None:
    described = create_app(Settings(finished_study, warm=False)).openapi()["paths"]
    listed = {
        f"| `{method.upper()} {path}` | {about['description']} |"
        for path, methods in described.items()
        for method, about in methods.items()
        if path.startswith("/v1/") or path in ("/healthz", "/readyz", "/metrics")
    }
    rows = re.findall(r"^\| `(?:GET|POST) .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rows) == listed


def test_the_table_of_limits_is_that_of_the_server() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [
        (name, str(value)) for name, value in dataclasses.asdict(RequestLimits()).items()
    ]


def test_the_unit_and_the_container_file_start_a_command_that_exists() -> None:
    unit = configparser.ConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(block("ini"))
    assert unit.sections() == ["Unit", "Service", "Install"]
    check_options(["hype", *shlex.split(unit["Service"]["ExecStart"])[1:]])
    lines = block("dockerfile").splitlines()
    known = {"FROM", "COPY", "RUN", "USER", "EXPOSE", "ENTRYPOINT"}
    assert {line.split()[0] for line in lines} <= known
    (entry,) = (line for line in lines if line.startswith("ENTRYPOINT"))
    check_options(json.loads(entry.removeprefix("ENTRYPOINT ")))


@pytest.mark.parametrize("name", ["search", "get_document", "list_runs", "compare_runs", "sql"])
def test_the_page_names_the_tools(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text(encoding="utf-8")
