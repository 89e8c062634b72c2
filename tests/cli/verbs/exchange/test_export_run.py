"""``hype export run`` where the file cannot be written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypestore import Store

Hype = Callable[..., Any]

NO_SPACE = """
import resource, signal, sys
from hypencli.__main__ import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
main()
"""


def test_a_file_that_cannot_be_written_whole_gives_4_and_leaves_nothing(
    study: Path, tmp_path: Path
) -> None:
    file = tmp_path / "hyper.trec"
    command = ["export", "run", "hyper-run", "--output", str(file), "--store", str(study)]
    done = subprocess.run(
        [sys.executable, "-c", NO_SPACE, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4, done.stderr
    assert str(file) in done.stderr or str(tmp_path) in done.stderr
    assert list(tmp_path.glob("*hyper.trec*")) == []


def test_a_folder_that_does_not_exist_gives_5(hype: Hype, study: Path, tmp_path: Path) -> None:
    file = tmp_path / "none" / "hyper.trec"
    done = hype("export", "run", "hyper-run", "--output", file, "--store", study)
    assert done.code == 5
    assert "none" in done.err


@pytest.mark.parametrize("name", ["../esc/x", "/tmp/x", "-o"])
def test_a_name_of_another_store_leads_to_no_other_folder(
    hype: Hype, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Versions before 0.6 took such names, and a study or a store may still have them."""
    store = Store.open(study)
    run = store.get("hyper-run")
    named = run.model_copy(update={"name": name})
    (store.path(run) / "manifest.json").write_text(named.to_text(), encoding="utf-8")
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "esc").mkdir()
    monkeypatch.chdir(here)
    done = hype("export", "run", run.id, "--store", study)
    assert done.code == 0, done.err
    assert [path.name for path in here.iterdir()] == [f"{run.id}.trec"]
    assert list((tmp_path / "esc").iterdir()) == []
