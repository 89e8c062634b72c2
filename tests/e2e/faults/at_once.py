"""Commands that run at once, each in a fork of this process, which has the libraries loaded.

    python at_once.py FOLDER < commands

``commands`` is a list of command lines as JSON. What number N says is in FOLDER as ``N.out`` and
``N.err`` while it runs; ``N.code`` is there when it has ended.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

from hypencli.__main__ import main


def started(place: Path, command: list[str]) -> int:
    """The process of a command."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        for number, kind in ((1, ".out"), (2, ".err")):
            os.dup2(os.open(place.with_suffix(kind), os.O_WRONLY | os.O_CREAT), number)
        code = main(command)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def wait_for(children: dict[int, Path]) -> None:
    """Write down how each has ended."""
    while children:
        child, status = os.wait()
        place = children.pop(child)
        aside = place.with_suffix(".tmp")
        aside.write_text(str(os.waitstatus_to_exitcode(status)))
        aside.rename(place.with_suffix(".code"))


if __name__ == "__main__":
    import hypencli.engine.exact
    import hypencli.training  # noqa: F401
    import hypestore  # noqa: F401

    folder = Path(sys.argv[1])
    commands = json.load(sys.stdin)
    wait_for(
        {started(folder / str(i), command): folder / str(i) for i, command in enumerate(commands)}
    )
