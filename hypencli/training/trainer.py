"""The Hugging Face Trainer, told what it cannot know: row order, rates by name, who listens."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from hypencli.errors import ModelError, UsageError
from hypencli.progress import Task
from hypencli.training.collator import Collator
from hypencli.training.config import TrainingConfig
from hypencli.training.examples import Examples
from hypencli.training.sampling import RowOrder
from hypencli.training.step import TrainingStep

_SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant_with_warmup",
}


class DualEncoderTrainer(Trainer):
    """The Trainer for dual encoders.

    Args:
        step: What is trained.
        examples: The training set.
        collator: Makes batches of it.
        config: Everything else.
        output_dir: Where checkpoints would go.
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
        self._config = config
        self._examples = examples
        self._order = RowOrder(len(examples), seed=config.seed)
        self._sums: dict[str, Tensor] = {}
        self._batches = 0

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches in an order that the seed and the epoch alone decide."""
        loader = DataLoader(
            self._examples,
            batch_size=self._config.batch_size,
            sampler=self._order,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with the rates of the configuration, and weight decay but on biases and norms."""
        if self.optimizer is None:
            trained: nn.Module = self.model if model is None else model  # type: ignore[assignment]
            decayed = set(self.get_decay_parameter_names(trained))
            self.optimizer = torch.optim.AdamW(
                parameter_groups(trained, decayed, self._config),
                lr=self._config.learning_rate,
                betas=(0.9, 0.999),
                eps=1e-8,
            )
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The summed loss; each loss by its name is kept for the next point of the curves.

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
        self._batches += 1
        for name, value in outputs.items():
            if name != "loss":
                self._sums[name] = self._sums.get(name, 0) + value.detach()
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means of the single losses since the last point."""
        if "loss" in logs:
            logs |= {name: total.item() / self._batches for name, total in self._sums.items()}
            self._sums, self._batches = {}, 0
        super().log(logs, start_time)


def training_arguments(config: TrainingConfig, output_dir: Path) -> TrainingArguments:
    """The Trainer's arguments: nothing is saved, reported or printed unless it is asked for."""
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
        # A number below 1 is read as a part of all steps.
        warmup_steps=config.warmup_ratio or config.warmup_steps,
        seed=config.seed,
        bf16=config.mixed_bfloat16,
        use_cpu=config.device.type == "cpu",
        dataloader_pin_memory=config.device.type == "cuda",
        logging_steps=config.logging_steps,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
    )
    if arguments.n_gpu > 1:
        # Several GPUs in one process would be torch's DataParallel, which splits a batch, and so
        # its in-batch negatives; each process of a launcher has a GPU of its own.
        arguments._n_gpu = 1
    return arguments


def parameter_groups(
    model: nn.Module, decayed: set[str], config: TrainingConfig
) -> list[dict[str, Any]]:
    """Trainable parameters by learning rate and weight decay.

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
        known = ", ".join(sorted(_families(model)))
        raise UsageError(
            f"training.learning_rates: {next(iter(unused))!r} matches no trainable parameter.",
            hint=f"Trainable: {known}.",
        )
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _families(model: nn.Module) -> set[str]:
    """Names of trainable parameters down to their second part: enough to write a pattern."""
    names = (n.removeprefix("dual.") for n, p in model.named_parameters() if p.requires_grad)
    return {".".join(name.split(".")[:2]) + "*" for name in names}


class Curves(TrainerCallback):
    """Writes the curves down and reports to the progress of the caller.

    Attributes:
        points: ``(step, name, value)``.
    """

    def __init__(self, task: Task) -> None:
        self.points: list[tuple[int, str, float]] = []
        self._task = task

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The Trainer knows by now how many steps there are."""
        self._task.set_total(state.max_steps)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The last step is a point of the curves whatever the interval."""
        self._task.advance()
        if state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """One point for every value; the summary at the end is none."""
        if logs is None or "loss" not in logs:
            return
        self.points += [(state.global_step, name, float(value)) for name, value in logs.items()]
        self._task.note(f"loss {logs['loss']:.4f}")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """The Trainer sets the verbosity of the whole library; put it back on leaving."""
    before = transformers.logging.get_verbosity()
    level = logging.getLogger("accelerate").level
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
        logging.getLogger("accelerate").setLevel(level)
