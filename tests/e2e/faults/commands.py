"""Commands that are killed, or run out of space, each in a process of its own.

    python commands.py < jobs

A line in is a job, as the fixture ``commands`` writes it; a line out is what became of it. The
libraries are imported once, for all the processes, which are forks of this one; ``"started": true``
is a ``python -m hypencli`` from its first instruction on.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from watch import Watch

from hypencli.__main__ import main


def run(job: dict[str, Any]) -> dict[str, Any]:
    """What became of one job."""
    # Pipes, for a limit on the size of files is not theirs.
    names = ("operations", "stdout", "stderr")
    pipes = [os.pipe() for _ in (*names, "begun")]
    if job.get("unread"):  # nobody reads what it prints
        os.close(pipes[1][0])
    start = _started if job.get("started") else _forked
    child = start(job, [writing for _, writing in pipes])
    for _, writing in pipes:
        os.close(writing)
    said = {"stdout": ""}
    *ends, begins = [reading for reading, _ in pipes]
    readers = [
        threading.Thread(target=_read, args=(said, name, end))
        for name, end in zip(names, ends, strict=True)
        if name != "stdout" or not job.get("unread")
    ]
    for reader in readers:
        reader.start()
    began, seconds = _wait(child, begins, job.get("after"))
    for reader in readers:
        reader.join()
    os.close(begins)
    _, status = os.waitpid(child, 0)
    return {
        **said,
        "operations": said["operations"].splitlines(),
        "code": os.waitstatus_to_exitcode(status),
        "began": began,
        "seconds": seconds,
    }


def _read(said: dict[str, str], name: str, end: int) -> None:
    with os.fdopen(end, encoding="utf-8") as stream:
        said[name] = stream.read()


def _wait(child: int, begins: int, after: float | None) -> tuple[bool, float]:
    """Wait for the end, or kill so many seconds after the first operation on the store.

    Returns:
        Whether there was a first operation, and the seconds from there to the end.
    """
    began = os.read(begins, 1) != b""
    since = time.monotonic()
    if began and not select.select([begins], [], [], after)[0]:
        os.kill(child, signal.SIGKILL)
    while os.read(begins, 1):
        pass
    return began, time.monotonic() - since


def _forked(job: dict[str, Any], streams: list[int]) -> int:
    """The command in a fork of this process."""
    child = os.fork()
    if child:
        return child
    log, out, err, begun = streams
    os.dup2(out, 1)
    os.dup2(err, 2)
    code = 1
    try:
        _limit(job)
        sys.addaudithook(Watch(job, log=log, begun=begun))
        code = main([*job["command"], "--store", job["store"]])
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        os._exit(code)


def _started(job: dict[str, Any], streams: list[int]) -> int:
    """The command as a user starts it."""
    log, out, err, begun = streams
    here = str(Path(__file__).parent)
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    watch = json.dumps({"job": job, "log": log, "begun": begun})
    process = subprocess.Popen(
        [sys.executable, "-m", "hypencli", *job["command"], "--store", job["store"]],
        stdout=out,
        stderr=err,
        pass_fds=(log, begun),
        env={**os.environ, "PYTHONPATH": path, "HYPE_WATCH": watch},
    )
    process.returncode = 0  # it is waited for by its number
    return process.pid


def _limit(job: dict[str, Any]) -> None:
    """Let no file grow beyond so many bytes: the system itself refuses the write."""
    if job.get("file_bytes") is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_bytes"], job["file_bytes"]))


if __name__ == "__main__":
    import hypencli.engine.exact
    import hypencli.engine.neighbours.exact
    import hypencli.training  # noqa: F401
    import hypestore  # noqa: F401

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as a shell leaves it, whatever started the tests
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)  # noqa: T201
