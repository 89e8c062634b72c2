"""Damaged files: every damage is found and named, and nothing wrong is read that was verified.

Hypothesis chooses a file of a small store and what becomes of it. The fast suite tries a seeded
slice, the slow suite ``SLOW_CASES``.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import hypestore as hs

FAST_CASES, SLOW_CASES = 40, 500
KINDS_OF_DAMAGE = ("flip", "flip", "truncate", "append", "empty", "delete", "swap", "edit", "extra")


@dataclass(frozen=True)
class Damage:
    """What becomes of a file: all choices are shares (0 to 1) of what there is to choose from."""

    kind: str
    file: float
    place: float
    other: float


DAMAGES = st.builds(
    Damage,
    kind=st.sampled_from(KINDS_OF_DAMAGE),
    file=st.floats(0, 1, exclude_max=True),
    place=st.floats(0, 1, exclude_max=True),
    other=st.floats(0, 1, exclude_max=True),
)


def chosen(things: list[Any], share: float) -> Any:
    return things[int(share * len(things))]


def cached_letters(folder: Path) -> None:
    (folder / "letters.bin").write_bytes(bytes(range(64)))
    (folder / "more").mkdir()
    (folder / "more" / "more.bin").write_bytes(bytes(range(64, 128)))


def make_store(root: Path, make: Makers) -> hs.Store:
    """Two of every kind, alike but for their content, so that files fit in each other's place."""
    store = hs.Store.create(root)
    for number in (1, 2):
        with store.draft("model", f"model{number}", {"m": number}, name=f"model{number}") as draft:
            (draft.path / "config.json").write_text(f'{{"number": {number}}}\n')
            curve = {"step": [1, 2], "name": ["loss", "loss"], "value": [1.0, 0.5 / number]}
            pq.write_table(pa.table(curve), draft.path / "training.parquet")
            model = draft.commit(stats={"parameters": 12})
        vectors = make.embeddings(store, 10, seed=number, parents=(model.id,))
        with store.graph_draft(vectors.id, "near", {"metric": "ip", "builder": "exact"}, k=2) as g:
            g.write([np.array([[(i + number) % 10, (i + number + 3) % 10] for i in range(10)])])
            graph = g.commit()
        store.write_calibration(
            "guided",
            {"engine": "guided", "graph": graph.id, "number": number},
            parents=(model.id, vectors.id, graph.id),
            points=[hs.CurvePoint(10, "{}", 0.9 / number, 0.01, 120.0, 3.0)],
        )
        with store.run_writer("run", {"number": number}, parents=(vectors.id,)) as writer:
            writer.queries([("q1", "one"), ("q2", "two")])
            writer.append(["q1", "q1", "q2"], ["d1", "d2", "d3"], [1, 2, 1], [3.0, 2.0, number])
            writer.costs([10, 20 * number], [1, 2])
            run = writer.commit()
        make.evaluation(store, run.id, value=1 / number)
    store.cached("letters-1", cached_letters)
    with store.draft("model", "unfinished", {"u": 1}) as draft:
        draft.progress([(1, "loss", 2.0)])
    return store


@dataclass(frozen=True)
class Makers:
    """The fixtures that make artifacts."""

    embeddings: Callable[..., hs.Manifest]
    evaluation: Callable[..., hs.Manifest]


Readings = dict[str, Callable[[hs.Store], Any]]


def readings(store: hs.Store) -> tuple[Readings, Readings]:
    """Everything that a store is asked for: what is compared with manifests, and what is mapped."""
    sure: Readings = {}
    mapped: Readings = {}
    for one in store.artifacts():
        name = one.id
        # All but the provenance, where the seal is: the doctor says which manifest has none.
        sure[f"manifest {name}"] = lambda s, i=name: s.get(i).model_copy(update={"provenance": {}})
        if one.kind == "model":
            sure[f"weights {name}"] = lambda s, i=name: {
                path.name: path.read_bytes()
                for path in s.verified(i).iterdir()
                if path.name in ("config.json", "training.parquet")
            }
        elif one.kind == "run":
            sure[f"results {name}"] = lambda s, i=name: s.run(i).results()
            sure[f"stream {name}"] = lambda s, i=name: list(s.run(i).rankings())
            sure[f"costs {name}"] = lambda s, i=name: s.run(i).costs()
        elif one.kind == "evaluation":
            sure[f"per query {name}"] = lambda s, i=name: s.per_query(i)
            sure[f"aggregates {name}"] = lambda s, i=name: s.aggregates(i)
        elif one.kind == "calibration":
            sure[f"curve {name}"] = lambda s, i=name: s.curve(i)
        elif one.kind == "graph":
            mapped[f"neighbours {name}"] = lambda s, i=name: s.graph(i).neighbours.tolist()
        elif one.kind == "embeddings":
            sure[f"checked {name}"] = lambda s, i=name: s.verified(i).name
            mapped[f"vectors {name}"] = lambda s, i=name: (
                s.embeddings(i).vectors(range(10)).tobytes()
            )
            mapped[f"ids {name}"] = lambda s, i=name: s.embeddings(i).ids(range(10))
            mapped[f"texts {name}"] = lambda s, i=name: s.embeddings(i).texts(range(10))
    return sure, mapped


PROVENANCE = "SELECT id, provenance FROM artifacts ORDER BY ALL"
CATALOG_QUERIES = (
    "FROM leaderboard ORDER BY ALL",
    "FROM per_query_metrics ORDER BY ALL",
    "SELECT * EXCLUDE (size_bytes, provenance) FROM artifacts ORDER BY ALL",
    PROVENANCE,
    "FROM parents ORDER BY ALL",
    "FROM training_curves ORDER BY ALL",
)


@dataclass(frozen=True)
class Healthy:
    """A store, and what everything in it says."""

    root: Path
    sure: Readings
    mapped: Readings
    said: dict[str, Any]
    catalog: dict[str, Any]

    @property
    def artifacts(self) -> set[str]:
        """Ids of its artifacts."""
        return {name.split()[-1] for name in self.said}


@pytest.fixture(scope="module")
def healthy(
    tmp_path_factory: pytest.TempPathFactory,
    make_embeddings: Callable[..., hs.Manifest],
    evaluate: Callable[..., hs.Manifest],
) -> Healthy:
    root = tmp_path_factory.mktemp("healthy") / "store"
    store = make_store(root, Makers(make_embeddings, evaluate))
    sure, mapped = readings(store)
    said = {name: read(store) for name, read in {**sure, **mapped}.items()}
    catalog = {sql: store.catalog.query(sql).rows for sql in CATALOG_QUERIES}
    assert store.doctor(checksums=True).healthy
    return Healthy(root, sure, mapped, said, catalog)


# What is done to a file


def do_damage(root: Path, damage: Damage) -> tuple[list[str], bool]:
    """Files that are not as they were any more, by their places; whether there is new one."""
    files = sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] != "locks"
    )
    catalog = [path for path in files if path.name == "catalog.duckdb"]
    path = chosen(files + 4 * catalog, damage.file)
    content = path.read_bytes()
    if damage.kind == "extra":
        path = path.with_name(f"extra-{path.name}")
        path.write_bytes(content)
        return [path.relative_to(root).as_posix()], True
    if damage.kind == "swap":
        alike = [one for one in files if one.suffix == path.suffix and one != path]
        other = chosen(alike or files, damage.other)
        if other.read_bytes() == content:
            return [], False
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)
        return [one.relative_to(root).as_posix() for one in (path, other)], False
    change(path, content, damage)
    changed = not path.exists() or path.read_bytes() != content
    return [path.relative_to(root).as_posix()] if changed else [], False


def change(path: Path, content: bytes, damage: Damage) -> None:
    place = int(damage.place * len(content))
    if damage.kind == "delete" or (not content and damage.kind != "append"):
        path.unlink()
    elif damage.kind == "truncate":
        path.write_bytes(content[:place])
    elif damage.kind == "append":
        path.write_bytes(content + content[: place + 1] + b"\n")
    elif damage.kind == "empty":
        path.write_bytes(b"")
    elif damage.kind == "edit" and path.suffix == ".json":
        path.write_text(json.dumps(edited(json.loads(content), random.Random(damage.other))))
    else:
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(damage.other * 8)
        path.write_bytes(bytes(flipped))


def edited(value: Any, draw: random.Random) -> Any:
    """The same JSON with one value somewhere in it another one, or one entry gone."""
    if isinstance(value, dict) and value:
        key = draw.choice(sorted(value))
        if draw.random() < 0.2:
            return {name: kept for name, kept in value.items() if name != key}
        return {**value, key: edited(value[key], draw)}
    if isinstance(value, list) and value:
        at = draw.randrange(len(value))
        return [*value[:at], edited(value[at], draw), *value[at + 1 :]]
    return draw.choice([value + 1, -1, 1e300] if isinstance(value, int) else ["x", None, [], {}])


# What must hold


def says_the_same(healthy: Healthy, root: Path, file: str) -> bool:
    """Whether a file that has other bytes still says what it said, so that nothing is damaged."""
    ours = root / file
    if file.endswith(".json"):
        try:
            return bool(
                json.loads(ours.read_bytes()) == json.loads((healthy.root / file).read_bytes())
            )
        except (OSError, ValueError):
            return False
    if file.startswith("catalog.duckdb"):
        actual = hs.Store.open(root).catalog.agrees()
        return actual is not False
    return False


def is_protected(file: str) -> bool:
    """Not the user's own settings, what interrupted work goes on from, or a record that only lets
    a cache be read again."""
    return not (file == "hype.toml" or "/unfinished-" in file or file.endswith("/.files.json"))


def is_named(file: str, report: hs.DoctorReport) -> bool:
    """Whether a finding is about a file, a folder that it lies in, or another of its cache; or the
    manifest beside it, without which nothing is known of it."""
    parts = Path(file).parts
    folder = "/".join(parts[:2])
    expected_names = {file, folder, f"{folder}/manifest.json"}
    actual = {one.file for one in report.findings if one.file}
    if parts[0] == "cache":
        return any(one.startswith(f"{folder}/") for one in actual)
    return bool(expected_names & actual) or any(file in one.problem for one in report.findings)


def check(healthy: Healthy, root: Path, damage: Damage) -> None:
    files, is_new = do_damage(root, damage)
    if "hype.toml" in files and not marker_is_read(root):
        return
    store = hs.Store.open(root)
    report = store.doctor(checksums=True)
    for file in files:
        if is_protected(file) and not is_new and not says_the_same(healthy, root, file):
            assert is_named(file, report), (file, report)
    refused: set[str | None] = set()
    unsound = {finding.artifact for finding in report.findings if finding.severity == "error"}
    for name, read in {**healthy.sure, **healthy.mapped}.items():
        artifact = name.split()[-1]
        try:
            value = read(hs.Store.open(root))
        except hs.StoreError:
            refused.add(artifact)
            continue
        if not same(value, healthy.said[name]):
            # Mapped without being read first: then the doctor has named it above.
            assert name in healthy.mapped, (name, value)
            assert artifact in unsound
    # What is refused is damaged, or gone; nothing else is.
    assert refused <= unsound | (healthy.artifacts - {one.id for one in store.artifacts()})
    hs.Store.open(root).catalog.query(CATALOG_QUERIES[0])
    if any(file.startswith("catalog") or file.endswith("manifest.json") for file in files):
        sealed = not any("have no seal" in one.problem for one in report.findings)
        check_catalog(healthy, root, unsound, sealed=sealed)
    if any(file.startswith("cache/") for file in files):
        check_cache(root)


def marker_is_read(root: Path) -> bool:
    """What users may edit is read, or refused by name; no artifact depends on it."""
    try:
        hs.Store.open(root)
    except hs.StoreError as error:
        message = error.message
    else:
        return True
    assert "hype.toml" in message
    return False


def check_catalog(healthy: Healthy, root: Path, unsound: set[str | None], *, sealed: bool) -> None:
    """Made anew, it answers as before, but for what the doctor calls damaged.

    Where the doctor tells of a manifest without a seal, the seal's name may be what is damaged: it
    is an entry of the provenance then, like any other.
    """
    store = hs.Store.open(root)
    for sql in CATALOG_QUERIES:
        store.catalog.query(sql)
    report = store.doctor(rebuild=True)
    assert store.catalog.agrees(), report
    existing = {one.id for one in store.artifacts()}
    if not unsound and existing == healthy.artifacts:
        for sql, rows in healthy.catalog.items():
            assert (sql == PROVENANCE and not sealed) or store.catalog.query(sql).rows == rows


def check_cache(root: Path) -> None:
    """Whatever became of it, who asks for it gets what was put in it."""
    folder = hs.Store.open(root).cached("letters-1", cached_letters)
    assert (folder / "letters.bin").read_bytes() == bytes(range(64))
    assert (folder / "more" / "more.bin").read_bytes() == bytes(range(64, 128))


def same(actual: Any, expected: Any) -> bool:
    return bool(actual.equals(expected)) if isinstance(expected, pa.Table) else actual == expected


def try_damage(healthy: Healthy, folder: Path, damage: Damage) -> None:
    root = folder / "store"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(healthy.root, root)
    check(healthy, root, damage)


@seed(7)
@settings(
    max_examples=FAST_CASES,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # smaller cases are no clearer, and cost minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=DAMAGES)
def test_damage_is_found_and_named(healthy: Healthy, tmp_path: Path, damage: Damage) -> None:
    try_damage(healthy, tmp_path, damage)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(
    max_examples=SLOW_CASES,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # smaller cases are no clearer, and cost minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=DAMAGES)
def test_damage_of_every_kind_is_found_and_named(
    healthy: Healthy, tmp_path: Path, damage: Damage
) -> None:
    try_damage(healthy, tmp_path, damage)
