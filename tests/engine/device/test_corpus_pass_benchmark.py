"""The benchmark of a GPU runs on any device, and says what it measured."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

JOBS = ["peak", "scan", "scan", "search", "search", "encode", "train"]


def test_every_job_says_a_line(
    device: torch.device,
    tmp_path: Path,
    repository: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    options = ["--device", str(device), "--scale", "tiny", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *options, "--no-compile"])
    import_module("gpu").main()
    first, *lines = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert {"cpu", "flags", "load", "device"} <= first["machine"].keys()
    assert [line["job"] for line in lines] == JOBS
    scans, searches = lines[1:3], lines[3:5]
    assert [line["queries"] for line in scans] == [1, 3]
    assert all(line["share_of_measured_peak"] > 0 for line in scans)
    assert [(line["resident"], line["fell_back"]) for line in searches] == [
        (False, False),
        (True, False),
    ]
    assert all(line["rescored"] < line["documents"] / 5 for line in searches)
