"""The Python library: models as objects, and project stores with the operations of ``hype``."""

import os
import sys

from hypencli.api.model import EncodedQueries, Model, load
from hypencli.api.project import Project, RunResults, open_store

__all__ = ["EncodedQueries", "Model", "Project", "RunResults", "load", "open_store"]


def _one_thread() -> None:
    """Let torch compute in one thread in a process that was forked.

    A fork has none of the threads of OpenMP, and would wait for them without end.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


os.register_at_fork(after_in_child=_one_thread)
