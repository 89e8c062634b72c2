"""The Hugging Face Trainer with our row order, rates by name, and shared weights."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from hypencli.errors import MissingDependencyError, ModelError, UsageError, did_you_mean
from hypencli.training.config import TrainingConfig
from hypencli.training.data.collator import Collator
from hypencli.training.data.examples import Examples
from hypencli.training.data.sampling import RowOrder
from hypencli.training.process.checkpoints import going_on_from, load_weights, save_weights
from hypencli.training.process.distributed import is_leader, n_processes
from hypencli.training.step import TrainingStep

_SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant_with_warmup",
}
_ALL_OR_NO_TRACKERS = ("all", "none")
_TRACKER_PACKAGES = {"azure_ml": "azureml-core", "comet_ml": "comet-ml", "flyte": "flytekit"}
"""Trackers whose package has another name -> name of the package."""


class DualEncoderTrainer(Trainer):
    """The Trainer for dual encoders.

    Args:
        step: The training step.
        examples: The training examples.
        collator: Makes batches of examples.
        config: The configuration of the run.
        output_dir: The folder of checkpoints.

    Attributes:
        order: The row order; the caller sets its epoch.
    """

    def __init__(
        self,
        step: TrainingStep,
        examples: Examples,
        collator: Collator,
        config: TrainingConfig,
        *,
        output_dir: Path,
    ) -> None:
        arguments = training_arguments(config, output_dir)
        super().__init__(model=step, args=arguments, train_dataset=examples, data_collator=collator)
        self.remove_callback(PrinterCallback)
        self.order = RowOrder(len(examples), seed=config.seed)
        self._config = config
        self._examples = examples
        self._sums: dict[str, tuple[Tensor | float, int]] = {}

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return a loader of batches, whose order depends on seed and epoch alone."""
        loader = DataLoader(
            self._examples,
            batch_size=self._config.batch_size,
            sampler=self.order,
            collate_fn=self.data_collator,
            num_workers=self._config.workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make AdamW with the rates of the configuration, and no decay of biases and norms.

        A step is one pass over all weights (fused), 4 times faster than one pass for each of its
        operations. A training that an earlier version began goes on without it, by the state of
        its optimiser, and ends with the same weights as there.
        """
        if self.optimizer is None:
            trained: nn.Module = self.model if model is None else model  # type: ignore[assignment]
            decayed = set(self.get_decay_parameter_names(trained))
            self.optimizer = torch.optim.AdamW(
                parameter_groups(trained, decayed, self._config),
                lr=self._config.learning_rate,
                betas=(0.9, 0.999),
                eps=1e-8,
                fused=None if self._config.fsdp else True,
            )
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the sum of the losses; keep each loss for the next point of the curves.

        Raises:
            ModelError: The loss is not finite.
        """
        outputs = model(**inputs)
        loss = outputs["loss"]
        if not torch.isfinite(loss):
            raise ModelError(
                f"The loss became {loss.item()} at step {self.state.global_step + 1}.",
                hint="Lower training.learning_rate, lengthen the warm-up, or check the scores in "
                "the training file.",
            )
        for name, value in outputs.items():
            if name != "loss":
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = (total + value.detach(), count + 1)
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log values, with the mean of each loss since the last point."""
        if "loss" in logs:
            logs |= {name: float(total) / count for name, (total, count) in self._sums.items()}
            self._sums = {}
        super().log(logs, start_time)

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        """Write weights of a checkpoint; a shared encoder, which Trainer refuses, once."""
        if not self.args.should_save:
            return
        folder = Path(str(output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(self.model, folder, state_dict)  # type: ignore[arg-type]

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        """Load the weights of a checkpoint; none may be missing."""
        if self.is_fsdp_enabled:
            with going_on_from(resume_from_checkpoint, "weights"):
                super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        load_weights(self.model, Path(resume_from_checkpoint))  # type: ignore[arg-type]

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with going_on_from(str(checkpoint), "optimizer.pt", "scheduler.pt"):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_scaler(self, checkpoint: str | None) -> None:
        with going_on_from(str(checkpoint), "scaler.pt"):
            super()._load_scaler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with going_on_from(str(checkpoint), "rng_state*.pth"):
            super()._load_rng_state(checkpoint)


def training_arguments(config: TrainingConfig, output_dir: Path) -> TrainingArguments:
    """Return the Trainer arguments; it reports or prints nothing that is not configured."""
    on_cpu, several = config.device.type == "cpu", n_processes() > 1
    arguments = TrainingArguments(
        output_dir=str(output_dir),
        max_steps=-1 if config.steps is None else config.steps,
        num_train_epochs=1.0 if config.epochs is None else config.epochs,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        lr_scheduler_type=_SCHEDULES[config.schedule],
        # The Trainer reads a number below 1 as a share of all steps.
        warmup_steps=config.warmup_ratio or config.warmup_steps,
        seed=config.seed,
        bf16=config.mixed_bfloat16,
        use_cpu=on_cpu,
        ddp_backend="gloo" if several and on_cpu else None,
        ddp_find_unused_parameters=False if several else None,
        fsdp=config.fsdp,  # type: ignore[arg-type]
        # Complete state only: torch unpickles divided checkpoints, which can run code.
        fsdp_config={"state_dict_type": "FULL_STATE_DICT"} if config.fsdp else None,
        dataloader_pin_memory=not on_cpu,
        dataloader_num_workers=config.workers,
        logging_steps=config.logging_steps,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=config.save_steps,
        report_to=list(config.report_to) or "none",
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
    )
    if arguments.n_gpu > 1:
        # With several GPUs in one process, DataParallel of torch would split a batch and its
        # in-batch negatives. So each process of a launcher has its own GPU.
        arguments._n_gpu = 1
    return arguments


def refuse_absent_trackers(names: Iterable[str]) -> None:
    """Refuse unusable trackers early; the Trainer would refuse them after preparation.

    Raises:
        MissingDependencyError: The package of a tracker is not installed.
        UsageError: The Trainer does not know a tracker.
    """
    for name in names:
        if name in _ALL_OR_NO_TRACKERS:
            continue
        if name not in INTEGRATION_TO_CALLBACK:
            raise UsageError(
                f"training.report_to: unknown tracker {name!r}.",
                hint=did_you_mean(name, (*INTEGRATION_TO_CALLBACK, *_ALL_OR_NO_TRACKERS)),
            )
        try:
            INTEGRATION_TO_CALLBACK[name]()
        except (ImportError, RuntimeError) as error:
            raise MissingDependencyError(
                f"training.report_to: the tracker {name!r} cannot be used: {error}",
                hint=f"Install it: pip install {_TRACKER_PACKAGES.get(name, name)}",
            ) from error


def gather_weights(trainer: Trainer, folder: Path) -> None:
    """Write the complete weights of a model divided among processes, all of which call it."""
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if is_leader():
        save_weights(trainer.model, folder, state)  # type: ignore[arg-type]


def parameter_groups(
    model: nn.Module, decayed: set[str], config: TrainingConfig
) -> list[dict[str, Any]]:
    """Group trainable parameters by learning rate and weight decay.

    Names are those of the dual encoder (``query_encoder.key_projections.0.weight``).

    Raises:
        ModelError: Nothing is trainable.
        UsageError: A pattern of ``learning_rates`` matches no trainable parameter.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    unused = dict(config.learning_rates)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        own = name.removeprefix("dual.")
        matching = [pattern for pattern in config.learning_rates if fnmatchcase(own, pattern)]
        for pattern in matching:
            unused.pop(pattern, None)
        rate = config.learning_rates[matching[0]] if matching else config.learning_rate
        groups[rate, config.weight_decay if name in decayed else 0.0].append(parameter)
    if not groups:
        raise ModelError(
            "Nothing to train: every parameter of the model is frozen.",
            hint="A frozen bi-encoder needs model.query_projection = 1.0; else set "
            "model.freeze_encoder = false.",
        )
    if unused:
        families = ", ".join(sorted(_families(model)))
        raise UsageError(
            f"training.learning_rates: {next(iter(unused))!r} matches no trainable parameter.",
            hint=f"Trainable: {families}.",
        )
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _families(model: nn.Module) -> set[str]:
    """Return the first two parts of trainable parameter names, to help write a pattern."""
    names = (n.removeprefix("dual.") for n, p in model.named_parameters() if p.requires_grad)
    return {".".join(name.split(".")[:2]) + "*" for name in names}


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Restore the verbosity of the library on exit, since the Trainer changes it."""
    before = transformers.logging.get_verbosity()
    level = logging.getLogger("accelerate").level
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
        logging.getLogger("accelerate").setLevel(level)
