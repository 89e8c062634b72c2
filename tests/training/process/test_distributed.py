"""Two processes on one machine, with gloo: what they compute together is what one would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).with_name("gradients.py")
Job = Callable[..., Path]


@pytest.fixture
def run_job(tmp_path: Path, tiny_backbone: Path, tiny_collection: Path, repository: Path) -> Job:
    """One training of so many processes; gives its output folder."""

    def run(processes: int, *, losses: list[Any], config: dict[str, Any], **more: Any) -> Path:
        folder = tmp_path / f"{processes}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        spec = {"backbone": str(tiny_backbone), "pooling": "mean", **more.pop("spec")}
        job = {
            "spec": spec,
            "losses": losses,
            "config": {**config, "batch_size": config["batch_size"] // processes},
            "rows": str(tiny_collection / "train.jsonl"),
            "output_dir": str(folder),
            **more,
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(repository), str(repository / "store"))),
        }
        done = subprocess.run(
            [sys.executable, *(launcher if processes > 1 else []), SCRIPT, folder / "job.json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-3_000:]
        return folder

    return run


def gradients(folder: Path) -> list[torch.Tensor]:
    state = torch.load(folder / "checkpoint-1" / "optimizer.pt", weights_only=True)["state"]
    return [10 * state[key]["exp_avg"] for key in sorted(state)]


HYPENCODER = {"converter_options": {"hidden_layers": 1}}
BI_ENCODER = {"architecture": "bi-encoder", "query_projection": 1.0}
IN_BATCH = ["cross_entropy", {}]
FIRST_ITEMS = ["cross_entropy", {"only_use_first_item": True}]
MARGINS = ["margin_mse", {}]


@pytest.mark.parametrize(
    ("spec", "losses", "config"),
    [
        (HYPENCODER, [MARGINS, FIRST_ITEMS], {"cross_device_negatives": True}),
        (BI_ENCODER, [MARGINS, IN_BATCH], {"cross_device_negatives": True, "chunk_size": 3}),
        (HYPENCODER, [["cross_entropy", {"use_in_batch_negatives": False}]], {}),
    ],
)
def test_gradients_of_two_processes_are_those_of_one(
    spec: dict[str, Any], losses: list[Any], config: dict[str, Any], run_job: Job
) -> None:
    both, alone = (
        run_job(processes, spec=spec, losses=losses, config={"batch_size": 8, **config})
        for processes in (2, 1)
    )
    pairs = list(zip(gradients(both), gradients(alone), strict=True))
    assert max(wanted.abs().max() for _, wanted in pairs) > 1e-2
    for actual, wanted in pairs:
        torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=2e-6)
    shared, single = (json.loads((f / "losses.json").read_text()) for f in (both, alone))
    assert shared == pytest.approx(single, rel=1e-5)


def test_negatives_of_the_other_process_count_only_where_asked_for(run_job: Job) -> None:
    losses = []
    for config in ({"batch_size": 8}, {"batch_size": 8, "cross_device_negatives": True}):
        folder = run_job(2, spec=BI_ENCODER, losses=[IN_BATCH], config=config)
        losses.append(json.loads((folder / "losses.json").read_text()))
    assert losses[0][0] < losses[1][0]


def test_weights_divided_among_processes(run_job: Job) -> None:
    """FSDP: the whole that is put together again has made the same steps as one process."""
    settings: dict[str, Any] = {"spec": HYPENCODER, "losses": [MARGINS], "steps": 3}
    both = run_job(2, config={"batch_size": 8, "fsdp": True}, **settings)
    alone = run_job(1, config={"batch_size": 8}, **settings)
    shared, single = (json.loads((f / "losses.json").read_text()) for f in (both, alone))
    assert shared == pytest.approx(single, rel=1e-3)
    actual, wanted = (torch.load(f / "weights.pt", weights_only=True) for f in (both, alone))
    assert actual.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(actual[name], tensor, rtol=0, atol=1e-3)
    start = run_job(1, config={"batch_size": 8}, **settings | {"learning_rate": 1e-12})
    untrained = torch.load(start / "weights.pt", weights_only=True)
    name = "query_encoder.key_projections.0.weight"
    moved = (wanted[name] - untrained[name]).norm()
    assert (actual[name] - wanted[name]).norm() < 0.2 * moved


@pytest.mark.parametrize("signalled", [0, 1])
def test_a_signal_at_the_last_step_stops_all(run_job: Job, signalled: int) -> None:
    """One process that leaves while the other waits for its part of the weights is a hang."""
    folder = run_job(
        2,
        spec=HYPENCODER,
        losses=[MARGINS],
        config={"batch_size": 8, "fsdp": True},
        signalled=signalled,
    )
    for process in (0, 1):
        said = json.loads((folder / f"stopped-{process}.json").read_text(encoding="utf-8"))
        assert said == [True, False, 1]
