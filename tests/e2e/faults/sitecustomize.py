"""In the path of a command that is started with ``HYPE_WATCH``, this watches it from the start."""

from __future__ import annotations

import json
import os
import sys

from watch import Watch

if "HYPE_WATCH" in os.environ:
    _given = json.loads(os.environ["HYPE_WATCH"])
    sys.addaudithook(Watch(_given["job"], log=_given["log"], begun=_given["begun"]))
