"""Communication of several processes that train one model."""

from __future__ import annotations

import atexit
import os
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.nn.functional import all_gather


def n_processes() -> int:
    """Return the number of processes of this run; 1 without a launcher."""
    return distributed.get_world_size() if _joined() else int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the rank of this process, from 0."""
    return distributed.get_rank() if _joined() else int(os.environ.get("RANK", "0"))


def is_leader() -> bool:
    """Return whether this process alone writes to the store and to the terminal."""
    return rank() == 0


def local_device(device: torch.device) -> torch.device:
    """Return the device of this process: on CUDA, that of its local rank."""
    if device.type == "cuda" and n_processes() > 1:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return device


def join(device: torch.device) -> None:
    """Join the process group of the launcher; do nothing without a launcher."""
    if n_processes() == 1 or _joined():
        return
    from accelerate import PartialState

    PartialState(cpu=device.type == "cpu")
    # Threads of gloo that still run when the interpreter exits end the process by SIGABRT.
    atexit.register(_leave)


def told_by_leader(value: Any) -> Any:
    """Return the value of the leader in every process; plain values only."""
    if not _joined():
        return value
    told = [value]
    distributed.broadcast_object_list(told, src=0)
    return told[0]


def any_process(flag: bool) -> bool:
    """Return whether the flag is set in any process."""
    if not _joined():
        return flag
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    votes = torch.tensor(int(flag), device=device)
    distributed.all_reduce(votes, distributed.ReduceOp.MAX)
    return bool(votes.item())


def wait_for_all() -> None:
    """Wait until every process has called this function."""
    if _joined():
        distributed.barrier()


def of_other_processes(items: Tensor) -> Tensor:
    """Gather items ``[n, d]`` of all other processes, as ``[(processes - 1) * n, d]``.

    Gradients flow back to the process of each item. ``n`` must be equal in all processes.
    """
    everywhere = all_gather(items)  # type: ignore[no-untyped-call]
    own = rank()
    return torch.cat([each for place, each in enumerate(everywhere) if place != own])


def _leave() -> None:
    if _joined():
        distributed.destroy_process_group()


def _joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()
