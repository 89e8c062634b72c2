"""The example of docs/extending-qnet.md trains, saves and loads, as it stands there."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hypencli import HypencoderDualEncoder
from hypencli.errors import ModelError
from hypencli.models.qnets.registry import SHIPPED_CONVERTERS

BACKBONE = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs" / "extending-qnet.md").read_text(encoding="utf-8")


@pytest.fixture
def trained(
    page: str, tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What the page's script leaves behind, run on the tiny backbone in an empty folder."""
    blocks = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, flags=re.DOTALL)
    files = dict(blocks)
    assert list(files) == ["my_nets.py", "train_mine.py"]
    assert BACKBONE in files["train_mine.py"]
    for name, code in files.items():
        code = code.replace(BACKBONE, tiny_backbone.as_posix()).replace("384", "32")
        (tmp_path / name).write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_nets", raising=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        left: dict[str, Any] = runpy.run_path(str(tmp_path / "train_mine.py"))
    yield left
    sys.modules.pop("my_nets", None)


def test_the_example_trains_saves_and_loads(trained: dict[str, Any], tmp_path: Path) -> None:
    assert trained["losses"][-1] < trained["losses"][0]
    saved, again = trained["dual"].state_dict(), trained["again"].state_dict()
    assert all(torch.equal(again[key], tensor) for key, tensor in saved.items())
    nets = again_nets(trained["again"], trained["queries"])
    items = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    assert nets.score(items).shape == (2, 4)
    torch.testing.assert_close(nets[1:].score(items), nets.score(items)[1:])


def again_nets(dual: HypencoderDualEncoder, queries: Any) -> Any:
    with torch.no_grad():
        return dual.query_encoder(queries["input_ids"], queries["attention_mask"]).representation


@pytest.mark.usefixtures("trained")
def test_without_trust_the_example_is_refused(tmp_path: Path) -> None:
    del sys.modules["my_nets"]
    with pytest.raises(ModelError, match="my_nets:HiddenAndDirection"):
        HypencoderDualEncoder.from_pretrained(tmp_path / "mine")
    assert "my_nets" not in sys.modules


def test_every_shipped_converter_is_listed(repository: Path) -> None:
    page = (repository / "docs" / "q-nets.md").read_text(encoding="utf-8")
    for name in SHIPPED_CONVERTERS:
        assert f"| `{name}` |" in page
