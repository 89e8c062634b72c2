"""Whether installed packages have known vulnerabilities: pip-audit, and what its silence is worth.

pip-audit gives 0 and says "No known vulnerabilities found" also where the service knew none of the
packages. Here that is no audit: every package must have been looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

FOUND, NOT_DONE = 1, 2
SERVICES = ("pypi", "osv")
OWN = {"hypencli"}
"""Packages that no service knows, for they are made here."""


@dataclass
class Audit:
    """What one service said."""

    service: str
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    vulnerable: list[str] = field(default_factory=list)
    problem: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every package was looked up."""
        return bool(self.checked) and not self.unchecked and self.problem is None


def main(pip_audit: str) -> int:
    """Audit the environment of this interpreter; 0, ``FOUND`` or ``NOT_DONE``."""
    audits = []
    for service in SERVICES:
        audits.append(ask(pip_audit, service))
        if audits[-1].complete or audits[-1].vulnerable:
            break
    last = audits[-1]
    for line in last.vulnerable:
        say(line)
    if last.vulnerable:
        say(f"{len(last.vulnerable)} known vulnerabilities (service: {last.service}).")
    if last.complete:
        say(f"{len(last.checked)} packages were looked up at {last.service}.")
        return FOUND if last.vulnerable else 0
    for audit in audits:
        say(f"{audit.service}: {state(audit)}")
    say(
        "THE AUDIT COULD NOT BE DONE in full: nothing is known of packages that were not looked up."
    )
    return FOUND if last.vulnerable else NOT_DONE


def ask(pip_audit: str, service: str) -> Audit:
    """Run pip-audit against one service."""
    audit = Audit(service)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            *(pip_audit, "--vulnerability-service", service, "--progress-spinner", "off"),
            *("--path", sysconfig.get_path("purelib"), "--format", "json", "--output", str(report)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            packages = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
        except (OSError, ValueError, KeyError):
            said = done.stderr.strip().splitlines() or ["nothing"]
            audit.problem = f"pip-audit ended with {done.returncode}: {said[-1]}"
            return audit
    for package in packages:
        take(package, audit)
    return audit


def take(package: dict[str, object], audit: Audit) -> None:
    """Sort one package of a report."""
    name = str(package["name"])
    if "skip_reason" in package:
        if name not in OWN:
            audit.unchecked.append(name)
        return
    audit.checked.append(name)
    vulnerabilities = package.get("vulns")
    for one in vulnerabilities if isinstance(vulnerabilities, list) else []:
        fixed = ", ".join(one.get("fix_versions") or ()) or "no version yet"
        audit.vulnerable.append(f"{name} {package['version']}: {one['id']}, fixed in {fixed}")


def state(audit: Audit) -> str:
    """How far an audit came, in words."""
    if audit.problem is not None:
        return audit.problem
    total = len(audit.checked) + len(audit.unchecked)
    some = ", ".join(audit.unchecked[:5])
    return f"{len(audit.unchecked)} of {total} packages were not found there ({some}, …)"


def say(line: str) -> None:
    """One line of the result."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
