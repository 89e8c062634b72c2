"""``hype data prepare`` and ``hype data list``: datasets of the hard tasks, as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hypencli.data.prepare import (
    PREPARATIONS,
    DatasetPreparation,
    Job,
    PreparedParts,
    find_preparation,
)
from hypencli.data.prepare.job import DEFAULT_SEED
from hypencli.data.prepare.malformed_records import MalformedRecords
from hypencli.data.prepare.staging import staged_folder
from hypencli.data.reading.dataset_record import (
    RECORD_NAME,
    DatasetRecord,
    PartRecord,
    file_hashes,
    read_record,
    write_record,
)
from hypencli.data.training.counts import Occurrences
from hypencli.errors import UsageError
from hypencli.ops.dataset_names import DATA_FOLDER, display_name
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """How a dataset is prepared.

    Attributes:
        output: The folder to write; None is ``data/NAME`` in the store.
        source: Folder with the source's files; None downloads them.
        seed: Of random choices; None is 42 where there are any.
        all_queries: Keep queries without an instruction too.
        lenient: Count records with an empty text or an unknown id, in place of stopping.
        overwrite: Prepare it again where it is there.
    """

    output: Path | None = None
    source: Path | None = None
    seed: int | None = None
    all_queries: bool = False
    lenient: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dataset that is there.

    Attributes:
        called: What other commands call it by.
        parts: What is in it, and what was left out.
        faults: Malformed records, by kind.
        existing: Whether it was there before, and nothing was done now.
        next: Commands to go on with.
    """

    name: str
    path: Path
    called: str
    sources: tuple[str, ...]
    corpus: str | None
    seed: int | None
    parts: Mapping[str, PartRecord]
    faults: Mapping[str, Occurrences]
    files: tuple[str, ...]
    existing: bool
    next: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedDataset:
    """A dataset that can be prepared.

    Attributes:
        prepared: What is in it, where it is in the store; None where it is not.
    """

    name: str
    holds: str
    about: str
    source: str
    prepared: Mapping[str, PartRecord] | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class DatasetList:
    """All datasets that can be prepared.

    Attributes:
        folder: Where those of the store lie; None outside a store.
    """

    datasets: tuple[ListedDataset, ...] = field(default_factory=tuple)
    folder: Path | None = None


def list_datasets(store_root: Path | None) -> DatasetList:
    """The datasets that can be prepared, and which of them a store has.

    Raises:
        DataError: The record of one of them cannot be read.
    """
    folder = None if store_root is None else store_root / DATA_FOLDER
    listed = []
    for preparation in PREPARATIONS.values():
        path = None if folder is None else folder / preparation.name
        record = None if path is None else read_record(path)
        listed.append(
            ListedDataset(
                name=preparation.name,
                holds=preparation.holds,
                about=preparation.about,
                source=preparation.source,
                prepared=None if record is None else record.parts,
                path=None if record is None else path,
            )
        )
    return DatasetList(tuple(listed), folder)


def prepare(
    name: str,
    options: PrepareOptions,
    *,
    store_root: Path | None = None,
    progress: Progress = SILENT,
) -> Prepared:
    """Make a dataset from what its authors released, and check what was got.

    The folder appears as a whole. After an interruption it is made anew; what was downloaded is
    kept. The same command twice does the work once.

    Args:
        name: One of :data:`~hypencli.data.prepare.PREPARATIONS`.
        options: See :class:`PrepareOptions`.
        store_root: The store, whose datasets are called by name.
        progress: Where to report.

    Raises:
        UsageError: There is no such dataset; a setting is for another one; or the output is there
            and was made otherwise.
        DataError: The source cannot be had, or is not what it should be; file and line are named.
    """
    preparation = find_preparation(name)
    settings = _settings(preparation, options)
    place = options.output or _default_place(preparation, store_root)
    existing_record = _existing(preparation, place, settings, overwrite=options.overwrite)
    if existing_record is not None:
        return _outcome(preparation, place, existing_record, store_root, existing=True)
    record = _make(preparation, place, options, settings, progress)
    return _outcome(preparation, place, record, store_root, existing=False)


def _make(
    preparation: DatasetPreparation,
    place: Path,
    options: PrepareOptions,
    settings: Mapping[str, str | int | bool | None],
    progress: Progress,
) -> DatasetRecord:
    malformed = MalformedRecords(lenient=options.lenient)
    with (
        staged_folder(place) as work,
        progress.task(f"prepare {preparation.name}", unit="records") as task,
    ):
        job = Job(
            source_folder=options.source,
            out=work.out,
            downloads=work.downloads,
            unpacked=work.unpacked,
            malformed=malformed,
            task=task,
            progress=progress,
            seed=DEFAULT_SEED if options.seed is None else options.seed,
            all_queries=options.all_queries,
        )
        prepared = preparation.run(job)
        record = _record(preparation, settings, prepared, malformed, work.out)
        write_record(work.out, record)
    return record


def _settings(
    preparation: DatasetPreparation, options: PrepareOptions
) -> dict[str, str | int | bool | None]:
    """What decides the content, as it is recorded.

    Raises:
        UsageError: A setting means nothing to this dataset, or there is no such folder.
    """
    for key, value in {
        "seed": options.seed is not None,
        "all_queries": options.all_queries,
    }.items():
        if value and key not in preparation.options:
            owners = [one.name for one in PREPARATIONS.values() if key in one.options]
            raise UsageError(f"{key} is for {', '.join(owners)}.")
    if options.source is not None and not options.source.is_dir():
        raise UsageError(
            f"No folder {options.source} (from {Path.cwd()}).",
            hint="The source is the folder with the files as they were released.",
        )
    settings: dict[str, str | int | bool | None] = {
        "from": None if options.source is None else str(options.source.resolve()),
        "lenient": options.lenient,
    }
    if "seed" in preparation.options:
        settings["seed"] = DEFAULT_SEED if options.seed is None else options.seed
    if "all_queries" in preparation.options:
        settings["all_queries"] = options.all_queries
    return settings


def _default_place(preparation: DatasetPreparation, store_root: Path | None) -> Path:
    if store_root is None:
        raise UsageError(f"Where to? {preparation.name} needs a store or an output folder.")
    return store_root / DATA_FOLDER / preparation.name


def _existing(
    preparation: DatasetPreparation,
    output: Path,
    settings: Mapping[str, str | int | bool | None],
    *,
    overwrite: bool,
) -> DatasetRecord | None:
    """What is there already and was made by the same command; None where it is to be made.

    Raises:
        UsageError: Something else is there.
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return None
    if not (output / RECORD_NAME).is_file():
        raise UsageError(
            f"{output} exists, and is no prepared dataset.", hint="Choose another `output=`"
        )
    record = None if overwrite else read_record(output)
    if record is None:
        return None
    if (record.name, dict(record.settings)) != (preparation.name, dict(settings)):
        said = ", ".join(f"{key}: {value}" for key, value in record.settings.items())
        raise UsageError(
            f"{output} exists, and was made otherwise: {record.name} ({said}).",
            hint="Choose another `output=`, or add `overwrite=True`",
        )
    return record


def _record(
    preparation: DatasetPreparation,
    settings: Mapping[str, str | int | bool | None],
    prepared: PreparedParts,
    malformed: MalformedRecords,
    out: Path,
) -> DatasetRecord:
    seed = settings.get("seed")
    return DatasetRecord(
        name=preparation.name,
        settings=settings,
        sources=prepared.sources,
        corpus=prepared.corpus,
        parts={
            part.name: PartRecord(part.counts, part.left_out, part.notes) for part in prepared.parts
        },
        faults={
            kind: (occurrences.count, occurrences.first)
            for kind, occurrences in malformed.all().items()
        },
        files=file_hashes(out),
        provenance=provenance(seed=None if seed is None else int(seed)),
    )


def _outcome(
    preparation: DatasetPreparation,
    path: Path,
    record: DatasetRecord,
    store_root: Path | None,
    *,
    existing: bool,
) -> Prepared:
    seed = record.settings.get("seed")
    place = display_name(path, store_root)
    return Prepared(
        name=record.name,
        path=path,
        called=place,
        sources=record.sources,
        corpus=record.corpus,
        seed=None if seed is None else int(seed),
        parts=record.parts,
        faults={kind: Occurrences(*occurrences) for kind, occurrences in record.faults.items()},
        files=tuple(record.files),
        existing=existing,
        next=tuple(command.format(place=place) for command in preparation.next),
    )
