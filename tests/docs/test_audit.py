"""``make audit`` never says that nothing was found where nothing was looked up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKED = {"name": "torch", "version": "2.13.0", "vulns": []}
SKIPPED = {"name": "numpy", "skip_reason": "Dependency not found on PyPI"}
OWN = {"name": "hypencli", "skip_reason": "Dependency not found on PyPI"}
BROKEN = {
    "name": "rich",
    "version": "15.0.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["15.0.1"], "aliases": []}],
}

TOOL = """#!{python}
import json, sys
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
given = json.loads({given!r}).get(arguments["--vulnerability-service"])
if given is None:
    sys.exit("ConnectionError: failed to resolve the service")
with open(arguments["--output"], "w", encoding="utf-8") as out:
    json.dump({{"dependencies": given}}, out)
sys.stderr.write("No known vulnerabilities found")
"""


@pytest.mark.parametrize(
    ("services", "code", "said"),
    [
        ({"pypi": [CHECKED, OWN]}, 0, "1 packages were looked up at pypi."),
        ({"pypi": [SKIPPED, OWN], "osv": [CHECKED, OWN]}, 0, "1 packages were looked up at osv."),
        ({"pypi": [CHECKED, BROKEN]}, 1, "rich 15.0.0: PYSEC-2026-1, fixed in 15.0.1"),
        ({"pypi": [SKIPPED, OWN]}, 2, "1 of 1 packages were not found there (numpy"),
        ({"pypi": [CHECKED, SKIPPED]}, 2, "1 of 2 packages were not found there (numpy"),
        ({"pypi": [BROKEN, SKIPPED]}, 1, "THE AUDIT COULD NOT BE DONE in full"),
        ({"pypi": [OWN]}, 2, "THE AUDIT COULD NOT BE DONE"),
        ({"pypi": []}, 2, "THE AUDIT COULD NOT BE DONE"),
        ({}, 2, "pip-audit ended with 1: ConnectionError: failed to resolve the service"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="a script stands for the tool")
def test_what_is_said_of_what_the_services_know(
    repository: Path, tmp_path: Path, services: dict[str, object], code: int, said: str
) -> None:
    tool = tmp_path / "pip-audit"
    text = TOOL.format(python=sys.executable, given=json.dumps(services))
    tool.write_text(text, encoding="utf-8")
    tool.chmod(0o755)
    done = subprocess.run(
        [sys.executable, repository / ".ci" / "audit.py", tool],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert said in done.stdout
    assert ("COULD NOT BE DONE" in done.stdout) == (code == 2 or "COULD NOT" in said)


def test_the_tool_is_pinned(repository: Path) -> None:
    assert "\npip_audit==" in (repository / "constraints.txt").read_text(encoding="utf-8")
