"""How long steps take and what they leave on disk: by what was measured in this store, if anything.

Where nothing was, published rates stand in, and where there is none the answer is "unknown". An
estimate is documents, or scores, by a rate: lengths of texts and the machine's load are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from hypencli.ops.models import display_name
from hypencli.ops.search.target import has_q_nets
from hypencli.recipe.replication import ReplicatedSearch
from hypencli.runtime import resolve_device
from hypestore import Manifest, Store

BYTES_PER_RESULT = 10
"""Of a run on disk: id, rank and score of a document; 7.4 were measured with short ids."""

BYTES_PER_NEIGHBOUR = 4

_ENCODING = {
    "cuda": (540.0, "a BERT base on a V100, by the figures of sentence-transformers"),
    "cpu": (30.0, "a BERT base on 8 cores, by the figures of sentence-transformers"),
}
"""Documents a second."""

_WIDTH = 768
"""Of the vectors of a BERT base, which stands for a model that is not there yet."""

_SCORING = {
    "cuda": (5.0e6, "the paper's 1,769.8 ms for 8.8 million documents, on an L40S"),
    "cpu": (1.8e4, "the 130 GFLOP/s of docs/benchmarks.md, on 2 cores"),
}
"""Scores of six-layer q-nets, 768 wide, a second."""

_WALKING = {
    ("cuda", "efficient-1"): (59.6e-3, "the paper's 59.6 ms a query, on an L40S"),
    ("cuda", "efficient-2"): (231.1e-3, "the paper's 231.1 ms a query, on an L40S"),
}


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


class Rates:
    """Estimates, from the artifacts of a store that were made on the same kind of device."""

    def __init__(self, store: Store, device: str | None) -> None:
        self._store, self._device = store, device

    @cached_property
    def _kind(self) -> str:
        return resolve_device(self._device).type

    def encoding(
        self,
        model: Manifest | None,
        left: int | None,
        count: int | None,
        *,
        bytes_in_all: int | None = None,
        storage: str = "float16",
    ) -> Estimate:
        """Encoding of the documents that are left, of so many.

        Args:
            model: Whose rate to look for; None where the model is not there.
            left: Documents to encode; None where it is not known how many.
            count: Documents in all.
            bytes_in_all: Of their vectors, where the model's width is known.
            storage: Type of vectors on disk, where it is not.
        """
        if left is None:
            return Estimate()
        rate, basis = self._encoding_rate(model)
        seconds = None if rate is None else left / rate
        if bytes_in_all is not None and count:
            return Estimate(seconds, bytes_in_all * left // count, basis)
        width = None if model is None else model.stat_int("dim")
        on_disk = left * (width or _WIDTH) * (2 if storage == "float16" else 4)
        assumed = f"vectors {_WIDTH} wide, assumed: a BERT base" if width is None else None
        return Estimate(seconds, on_disk, basis, assumed)

    def _encoding_rate(self, model: Manifest | None) -> tuple[float | None, str | None]:
        for one in self._measured("embeddings"):
            encoded = one.stats.get("encoded_by_last_process")
            of_model = model is not None and model.id in one.parents
            if of_model and isinstance(encoded, int) and encoded:
                rate = encoded / _seconds(one)
                return rate, f"encoding {rate:,.0f} documents/s, measured: {display_name(one)}"
        if self._kind not in _ENCODING:
            return None, None
        rate, source = _ENCODING[self._kind]
        return rate, f"encoding {rate:,.0f} documents/s, assumed: {source}"

    def graph(self, k: int, count: int | None) -> Estimate:
        """A neighbour graph; its time is known only where one was made exactly."""
        if count is None:
            return Estimate()
        on_disk = count * k * BYTES_PER_NEIGHBOUR
        for one in self._measured("graph"):
            n = one.stats.get("n_documents")
            if one.inputs.get("builder") == "exact" and isinstance(n, int) and count <= 100_000:
                pairs = n * n / _seconds(one)
                basis = f"neighbours {pairs:,.0f} pairs/s, measured: {display_name(one)}"
                return Estimate(count * count / pairs, on_disk, basis)
        return Estimate(None, on_disk)

    def search(
        self,
        model: Manifest | None,
        how: ReplicatedSearch,
        *,
        n_queries: int | None,
        n_documents: int | None,
        k: int,
        plain: bool = False,
    ) -> Estimate:
        """A search of all documents, or a walk or guided search.

        Args:
            model: Whose rate to look for; None where the model is not there.
            how: The way to search.
            n_queries: How many there are; None where that is not known.
            n_documents: The same.
            k: Results of a query.
            plain: Whether the model is known to have no q-nets.
        """
        if n_queries is None:
            return Estimate()
        on_disk = n_queries * k * BYTES_PER_RESULT
        if how.engine == "exact":
            rate, basis = self._scoring_rate(model, plain=plain)
            if rate is None or n_documents is None:
                return Estimate(None, on_disk)
            return Estimate(n_queries * n_documents / rate, on_disk, basis)
        each, basis = self._seconds_a_query(model, how)
        return Estimate(None if each is None else n_queries * each, on_disk, basis)

    def _scoring_rate(
        self, model: Manifest | None, *, plain: bool
    ) -> tuple[float | None, str | None]:
        for one in self._measured("run"):
            scores = _product(one, "n_queries", "n_documents")
            if _is_by(one, model, "exact") and scores:
                rate = scores / _seconds(one)
                return (
                    rate,
                    f"scoring {rate:,.0f} documents/s a query, measured: {display_name(one)}",
                )
        plain = plain if model is None else not has_q_nets(model)
        if plain or self._kind not in _SCORING:
            return None, None
        rate, source = _SCORING[self._kind]
        return rate, f"scoring {rate:,.0f} documents/s a query, assumed: {source}"

    def _seconds_a_query(
        self, model: Manifest | None, how: ReplicatedSearch
    ) -> tuple[float | None, str | None]:
        for one in self._measured("run"):
            queries = one.stats.get("n_queries")
            if _is_by(one, model, how.engine) and isinstance(queries, int) and queries:
                each = _seconds(one) / queries
                return (
                    each,
                    f"{how.engine} {1000 * each:,.1f} ms a query, measured: {display_name(one)}",
                )
        each_assumed = _WALKING.get((self._kind, str(how.options.get("preset", ""))))
        if each_assumed is None:
            return None, None
        return each_assumed[0], f"{how.options['preset']}, assumed: {each_assumed[1]}"

    def _measured(self, kind: str) -> Iterator[Manifest]:
        """Artifacts of a kind that were made on this kind of device, the newest first."""
        for one in reversed(self._store.artifacts(kind)):  # type: ignore[arg-type]
            device = str(one.provenance.get("device", ""))
            if device.partition(":")[0] == self._kind and _seconds(one) > 0:
                yield one


def _is_by(run: Manifest, model: Manifest | None, engine: str) -> bool:
    return model is not None and (run.inputs.get("model"), run.inputs.get("engine")) == (
        model.id,
        engine,
    )


def _product(manifest: Manifest, *keys: str) -> int:
    product = 1
    for key in keys:
        value = manifest.stats.get(key)
        product *= value if isinstance(value, int) else 0
    return product


def _seconds(manifest: Manifest) -> float:
    """The time that an artifact took: the total, else the sum of the parts; 0 where unknown."""
    parts = manifest.stats.get("seconds")
    if not isinstance(parts, dict):
        return 0.0
    values = {key: float(str(value)) for key, value in parts.items()}
    return values["total"] if "total" in values else sum(values.values())
