"""``hype data prepare`` and ``hype data list``: datasets of the hard tasks as files."""

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
from hypencli.escaping import escape_shell
from hypencli.ops.dataset_names import DATA_FOLDER, display_name
from hypencli.paths import exists, is_dir, is_file
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """Options of a preparation.

    Attributes:
        output: Folder to write. None selects ``data/NAME`` in the store.
        source: Folder with the released files. None downloads them.
        seed: Seed of random choices. None selects 42.
        all_queries: Also keep queries without an instruction.
        lenient: Count records with an empty text or an unknown id, instead of stopping.
        overwrite: Prepare an existing dataset again.
    """

    output: Path | None = None
    source: Path | None = None
    seed: int | None = None
    all_queries: bool = False
    lenient: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared dataset.

    Attributes:
        name: Name of the dataset.
        path: Its folder.
        called: Its name for other commands.
        sources: Places of the released files.
        corpus: Id of its corpus, if it has one.
        seed: Seed of random choices, if there were any.
        parts: Contents of its parts, and records left out.
        faults: Malformed records by kind.
        files: Its files.
        existing: Whether it was prepared before this call.
        next: Commands that use it.
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
        name: Name of the dataset.
        holds: Its contents in a few words.
        about: Its description.
        source: Place of the released files.
        prepared: Contents of its parts; None if the store does not have it.
        path: Its folder; None if the store does not have it.
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
        datasets: The datasets.
        folder: Folder of prepared datasets in the store; None outside a store.
    """

    datasets: tuple[ListedDataset, ...] = field(default_factory=tuple)
    folder: Path | None = None


def list_datasets(store_root: Path | None) -> DatasetList:
    """List the datasets that can be prepared, and those that the store has.

    Raises:
        DataError: The record of a dataset cannot be read.
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
    """Make the files of a dataset from the files that its authors released, and check them.

    The folder appears when it is complete. An interrupted preparation starts again, but keeps its
    downloads. A prepared dataset is not prepared again.

    Args:
        name: One of :data:`~hypencli.data.prepare.PREPARATIONS`.
        options: How to prepare.
        store_root: Folder of the store; None outside a store.
        progress: Where to report.

    Raises:
        UsageError: There is no such dataset, an option does not apply to it, or the output exists
            with other options.
        DataError: The source cannot be downloaded, or is malformed; the message has file and line.
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
    """The settings that determine the contents.

    Raises:
        UsageError: An option does not apply to this dataset, or there is no such folder.
    """
    for key, value in {
        "seed": options.seed is not None,
        "all_queries": options.all_queries,
    }.items():
        if value and key not in preparation.options:
            owners = [one.name for one in PREPARATIONS.values() if key in one.options]
            raise UsageError(f"{key} applies only to {', '.join(owners)}.")
    if options.source is not None and not is_dir(options.source):
        raise UsageError(
            f"No folder {options.source} (from {Path.cwd()}).",
            hint="The source is the folder with the released files.",
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
        raise UsageError(f"{preparation.name} needs a store or an output folder.")
    return store_root / DATA_FOLDER / preparation.name


def _existing(
    preparation: DatasetPreparation,
    output: Path,
    settings: Mapping[str, str | int | bool | None],
    *,
    overwrite: bool,
) -> DatasetRecord | None:
    """The record of a dataset with the same settings in the folder; None if it must be made.

    Raises:
        UsageError: The folder has other contents.
    """
    if not exists(output) or (is_dir(output) and not any(output.iterdir())):
        return None
    if not is_file(output / RECORD_NAME):
        raise UsageError(
            f"{output} exists and is not a prepared dataset.", hint="Choose another `output=`"
        )
    record = None if overwrite else read_record(output)
    if record is None:
        return None
    if (record.name, dict(record.settings)) != (preparation.name, dict(settings)):
        said = ", ".join(f"{key}: {value}" for key, value in record.settings.items())
        raise UsageError(
            f"{output} exists with other settings: {record.name} ({said}).",
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
        next=tuple(command.format(place=escape_shell(place)) for command in preparation.next),
    )
