"""Several processes that train one model: who is who, and what they tell each other."""

from __future__ import annotations

import atexit
import os
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.nn.functional import all_gather


def n_processes() -> int:
    """Processes of this training; 1 where no launcher started several."""
    return distributed.get_world_size() if _joined() else int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Place of this process among them, from 0."""
    return distributed.get_rank() if _joined() else int(os.environ.get("RANK", "0"))


def is_leader() -> bool:
    """Whether this process speaks for all: it alone writes to the store and to the terminal."""
    return rank() == 0


def local_device(device: torch.device) -> torch.device:
    """The device of this process: on CUDA, the one of its place on this machine."""
    if device.type == "cuda" and n_processes() > 1:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return device


def join(device: torch.device) -> None:
    """Meet the other processes that the launcher started; nothing where there are none."""
    if n_processes() == 1 or _joined():
        return
    from accelerate import PartialState

    PartialState(cpu=device.type == "cpu")
    # Threads of gloo that are still there when the interpreter goes end the process by SIGABRT.
    atexit.register(_leave)


def told_by_leader(value: Any) -> Any:
    """What the leader says, in every process; plain values only."""
    if not _joined():
        return value
    told = [value]
    distributed.broadcast_object_list(told, src=0)
    return told[0]


def any_process(flag: bool) -> bool:
    """Whether the flag is set in one of the processes."""
    if not _joined():
        return flag
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    votes = torch.tensor(int(flag), device=device)
    distributed.all_reduce(votes, distributed.ReduceOp.MAX)
    return bool(votes.item())


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if _joined():
        distributed.barrier()


def of_other_processes(items: Tensor) -> Tensor:
    """The items ``[n, d]`` of all other processes, ``[(processes - 1) * n, d]``.

    Gradients flow back to where the items came from. Every process must give as many items.
    """
    everywhere = all_gather(items)  # type: ignore[no-untyped-call]
    own = rank()
    return torch.cat([each for place, each in enumerate(everywhere) if place != own])


def _leave() -> None:
    if _joined():
        distributed.destroy_process_group()


def _joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()
