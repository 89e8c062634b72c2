"""One training step in each process of a launcher; the leader writes the gradients.

    python -m torch.distributed.run --nproc-per-node 2 gradients.py JOB.json

The first moment of AdamW after one step is a tenth of the gradient, and a checkpoint holds it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hypencli.data.training import read_training_rows
from hypencli.models.load import ModelSpec, build_dual_encoder, load_tokenizer
from hypencli.training import RunContext, Sampling, TrainingConfig, TrainingData, train
from hypencli.training.process.distributed import is_leader, join, rank


def main(job: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    join(torch.device("cpu"))
    spec = ModelSpec(
        **job["spec"], losses=tuple((name, options) for name, options in job["losses"])
    )
    dual = build_dual_encoder(spec)
    for module in dual.modules():  # dropout would differ from process to process
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    dual.passage_encoder.transformer.config.attention_probs_dropout_prob = 0.0
    config = TrainingConfig(
        steps=job.get("steps", 1),
        max_grad_norm=0.0,
        learning_rate=job.get("learning_rate", 1e-3),
        schedule="constant",
        logging_steps=1,
        save_steps=1,
        query_max_length=32,
        passage_max_length=64,
        sampling=Sampling(negatives_per_query=1),
        **job["config"],
    )
    if rank() == job.get("signalled"):
        stop = partial(os.kill, os.getpid(), signal.SIGTERM)
        dual.query_encoder.register_forward_pre_hook(lambda *_: stop())
    rows = read_training_rows(job["rows"])
    where = RunContext(output_dir=Path(job["output_dir"]))
    outcome = train(dual, load_tokenizer(spec.backbone), TrainingData(rows=rows), config, where)
    if "signalled" in job:
        said = json.dumps([outcome.interrupted, outcome.finished, outcome.steps])
        (Path(job["output_dir"]) / f"stopped-{rank()}.json").write_text(said)
    elif is_leader():
        losses = [value for _, name, value in outcome.curves if name == "loss"]
        (Path(job["output_dir"]) / "losses.json").write_text(json.dumps(losses))
        torch.save(outcome.dual.state_dict(), Path(job["output_dir"]) / "weights.pt")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
