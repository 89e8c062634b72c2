"""Estimates of time and disk space of steps, by rates measured in the store.

If the store has no measured rate, a published rate is assumed. If there is none either, the
estimate is unknown. An estimate divides a number of documents or scores by a rate. It ignores the
lengths of texts and the load of the machine.
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
    """Estimated costs of a step.

    Attributes:
        seconds: Time in seconds; None if unknown.
        bytes: Disk space in bytes; None if unknown, 0 if negligible.
        basis: Rate of the time estimate.
        disk_basis: Assumption of the size estimate, if any.
    """

    seconds: float | None = None
    bytes: int | None = None
    basis: str | None = None
    disk_basis: str | None = None

    @property
    def bases(self) -> tuple[str, ...]:
        """Rate and assumption, as far as they exist."""
        return tuple(basis for basis in (self.basis, self.disk_basis) if basis)


UNKNOWN = Estimate()
AT_ONCE = Estimate(seconds=0.0, bytes=0)


@dataclass(frozen=True, slots=True)
class Rate:
    """Speed of an operation.

    Attributes:
        per_second: Documents, scores, pairs or queries per second.
        source: Artifact or publication of the rate.
        is_measured: Whether it was measured in this store.
    """

    per_second: float
    source: str
    is_measured: bool


class Rates:
    """Rates of one kind of device, measured from the artifacts of a store.

    Args:
        store: The project store.
        device: The device. None selects the best one.
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
        """Find the rate of the newest artifact with one, else the assumed rate, else None.

        Args:
            kind: Kind of the artifacts.
            amount: Computes the amount of work for an artifact; 0 if it does not count.
            assumed: Kind of device -> assumed rate, and its source.
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
    """Return a count in the stats of an artifact; 0 if it is missing."""
    value = manifest.stats.get(key)
    return value if isinstance(value, int) else 0


def _seconds(manifest: Manifest) -> float:
    """Return the seconds of an artifact: the total, else the sum of the parts; 0 if unknown."""
    parts = manifest.stats.get("seconds")
    if not isinstance(parts, dict):
        return 0.0
    values = {key: float(str(value)) for key, value in parts.items()}
    return values["total"] if "total" in values else sum(values.values())
