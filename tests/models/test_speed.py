"""The faster arithmetic of a transformer, by what the processor has."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hypencli.models.speed import fastest_dtype

FLAGS = Path("/proc/cpuinfo")


@pytest.mark.skipif(not FLAGS.is_file(), reason="Linux lists the flags of a processor")
def test_bfloat16_is_taken_where_the_processor_has_it() -> None:
    lines = FLAGS.read_text(encoding="utf-8").splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    native = {"avx512_bf16", "amx_bf16"} & set(flags)
    assert fastest_dtype(torch.device("cpu")) == (torch.bfloat16 if native else torch.float32)


def test_other_devices_have_float32() -> None:
    assert fastest_dtype(torch.device("mps")) == torch.float32
