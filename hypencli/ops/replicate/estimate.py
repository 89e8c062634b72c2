"""How long steps take and what they leave on disk, by what was measured in this store, if anything.

Where nothing was measured, published rates stand in; where there is none the answer is "unknown".
An estimate is documents, or scores, by a rate: lengths of texts and the machine's load are left
out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from hypencli.ops.models import display_name
from hypencli.runtime import resolve_device
from hypestore import Kind, Manifest, Store


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a step takes.

    Attributes:
        seconds: None where nothing is known of it.
        bytes: On disk; None where that is not known, 0 where it is next to nothing.
        basis: What the seconds are made from.
        disk_basis: What the bytes are made from, where they are assumed.
    """

    seconds: float | None = None
    bytes: int | None = None
    basis: str | None = None
    disk_basis: str | None = None

    @property
    def bases(self) -> tuple[str, ...]:
        """What there is of both."""
        return tuple(basis for basis in (self.basis, self.disk_basis) if basis)


UNKNOWN = Estimate()
AT_ONCE = Estimate(seconds=0.0, bytes=0)


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast something goes.

    Attributes:
        per_second: Documents, scores, pairs or queries.
        source: What it comes from, for people.
    """

    per_second: float
    source: str
    is_measured: bool


class Rates:
    """What the artifacts of a store tell of one kind of device.

    Args:
        store: The project store.
        device: The device; None takes the best there is.
    """

    def __init__(self, store: Store, device: str | None) -> None:
        self._store, self._device = store, device

    @cached_property
    def _device_kind(self) -> str:
        return resolve_device(self._device).type

    def find(
        self,
        kind: Kind,
        amount: Callable[[Manifest], int],
        assumed: Mapping[str, tuple[float, str]],
    ) -> Rate | None:
        """The rate of the newest artifact that tells one, else the one assumed, else None.

        Args:
            kind: Kind of the artifacts.
            amount: How much was done for an artifact; 0 where it tells nothing.
            assumed: Kind of device -> rate, and who says so.
        """
        for one in reversed(self._store.artifacts(kind)):
            device = str(one.provenance.get("device", ""))
            seconds = _seconds(one)
            if device.partition(":")[0] == self._device_kind and seconds > 0 and amount(one):
                return Rate(amount(one) / seconds, f"measured: {display_name(one)}", True)
        if self._device_kind not in assumed:
            return None
        per_second, source = assumed[self._device_kind]
        return Rate(per_second, f"assumed: {source}", False)


def count_of(manifest: Manifest, key: str) -> int:
    """A count among the stats of an artifact; 0 where it has none."""
    value = manifest.stats.get(key)
    return value if isinstance(value, int) else 0


def _seconds(manifest: Manifest) -> float:
    """The time that an artifact took: the total, else the sum of the parts; 0 where unknown."""
    parts = manifest.stats.get("seconds")
    if not isinstance(parts, dict):
        return 0.0
    values = {key: float(str(value)) for key, value in parts.items()}
    return values["total"] if "total" in values else sum(values.values())
