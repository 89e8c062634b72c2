"""Reddit-TOMT: tip-of-the-tongue questions about books and movies.

Source: Bhargav, Sidiropoulos, Kanoulas, WSDM 2022, github.com/samarthbhargav/tomt-data. The
conversion is that of the reproduction (arneeichholtz/Hypencoder-reprod,
``scripts/data_hard_tasks.py``).

The released hard negatives are weak: in ``Books``, a hundred consecutive queries share one list,
and some lists hold the answer of a query.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypencli.data.prepare.collection import Text, twice, usable_judgements
from hypencli.data.prepare.download import RepositoryFile, fetch
from hypencli.data.prepare.job import Job, PreparedParts, RowCounts
from hypencli.data.prepare.malformed_records import EMPTY_TEXT, UNKNOWN_ID, MalformedRecords
from hypencli.data.prepare.records import records_of, titled
from hypencli.data.reading.judgements import collect_judgements, iterate_judgements
from hypencli.data.reading.lines import read_whole
from hypencli.data.reading.rows import checked_id
from hypencli.data.training import write_training_rows
from hypencli.errors import DataError
from hypencli.records import Qrels, Query, TrainingItem, TrainingRow

MAX_UNPACKED_BYTES = 16 * 2**30
"""Maximum unpacked size of an archive; the released ones have about a tenth of it."""

DOMAINS = ("Movies", "Books")
SPLITS = ("train", "validation", "test")
DOCUMENTS = ("documents.json", "hard_negative_documents.json", "negative_documents.json")
NEGATIVES = "bm25_hard_negatives_all.json"

_COMMIT = "91715717363665c72f020ed29264f83318ecbc08"
_BLOBS = {
    "Movies": "048be259eb3acee49ce6e68cd41d1946c48f3ceb",
    "Books": "c876cc2567e1e94ee0226f86ad72675d7717013b",
}
ARCHIVES = {
    domain: RepositoryFile(
        "samarthbhargav/tomt-data", _COMMIT, f"data_release/{domain}.zip", _BLOBS[domain]
    )
    for domain in DOMAINS
}


@dataclass(frozen=True, slots=True)
class Domain:
    """The data of one domain, books or movies.

    Attributes:
        folder: Folder of the files.
        texts: Document id -> title and text.
        negatives: Query id -> document ids.
    """

    folder: Path
    texts: Mapping[str, str]
    negatives: Mapping[str, tuple[str, ...]]

    def file(self, split: str, name: str) -> Path:
        """Return the path of a file in the folder of a split."""
        return self.folder / "splits" / split / name

    def released(self, query_id: str, malformed: MalformedRecords) -> list[str]:
        """Return the negatives of a query.

        Raises:
            DataError: A negative is no document, and malformed records are errors.
        """
        doc_ids = self.negatives.get(query_id, ())
        where = f"{self.folder / NEGATIVES}, query {query_id!r}"
        for doc_id in doc_ids:
            if doc_id not in self.texts:
                malformed.meet(UNKNOWN_ID, where, f"no document {doc_id!r}")
        return list(doc_ids)

    def items(self, doc_ids: Iterable[str], type_: str) -> list[TrainingItem]:
        """Return documents as items of a row, without empty and unknown ones."""
        return [
            TrainingItem(one, self.texts[one], type=type_)
            for one in doc_ids
            if self.texts.get(one, "").strip()
        ]


def prepare_tot_train(job: Job) -> PreparedParts:
    """Write ``train.jsonl``, ``validation.jsonl`` and ``test.jsonl``, movies before books.

    Raises:
        DataError: The source is missing or malformed.
    """
    folders = {name: _domain_folder(name, job) for name in DOMAINS}
    domains = [read_domain(folder, job) for folder in folders.values()]
    parts = []
    for split in SPLITS:
        counts = RowCounts(job.malformed)
        rows = known_item_rows(domains, split, counts)
        write_training_rows(job.out / f"{split}.jsonl", job.counted(rows))
        parts.append(counts.part(split))
    if job.source_folder is None:
        sources = tuple(archive.source for archive in ARCHIVES.values())
    else:
        sources = tuple(f"file:{name}" for name in folders)
    return PreparedParts(tuple(parts), sources)


def _domain_folder(name: str, job: Job) -> Path:
    """Return the folder of a domain, from the user or unpacked from an archive."""
    if job.source_folder is None:
        return _unpacked(fetch(ARCHIVES[name], job.downloads, job.progress), name, job.unpacked)
    if (job.source_folder / name).is_dir():
        return job.source_folder / name
    archive = job.source_folder / f"{name}.zip"
    if archive.is_file():
        return _unpacked(archive, name, job.unpacked)
    existing = ", ".join(sorted(one.name for one in job.source_folder.iterdir())[:12]) or "nothing"
    raise DataError(
        f"{job.source_folder}: neither a folder {name} nor {name}.zip in it; it holds {existing}.",
        hint="Expected Books and Movies as released in data_release of samarthbhargav/tomt-data.",
    )


def _unpacked(archive: Path, name: str, folder: Path) -> Path:
    """Unpack the files of an archive that are read."""
    wanted = [*DOCUMENTS, NEGATIVES]
    wanted += [
        f"splits/{split}/{file}" for split in SPLITS for file in ("qrels.txt", "queries.json")
    ]
    try:
        with zipfile.ZipFile(archive) as packed:
            size = sum(packed.getinfo(f"{name}/{file}").file_size for file in wanted)
            if size > MAX_UNPACKED_BYTES:
                raise DataError(
                    f"{archive}: it unpacks to {size:,} bytes, {MAX_UNPACKED_BYTES:,} at most are "
                    "read."
                )
            for file in wanted:
                packed.extract(f"{name}/{file}", folder)
    except (KeyError, EOFError, OSError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(
            f"{archive} cannot be unpacked: {error}.",
            hint="Expected the archive as released in data_release of samarthbhargav/tomt-data.",
        ) from error
    return folder / name


def read_domain(folder: Path, job: Job) -> Domain:
    """Read the documents and negatives of a domain.

    If several files have a document, the last one counts.

    Raises:
        DataError: A file is missing or malformed, or has an id twice.
    """
    texts: dict[str, str] = {}
    for name in DOCUMENTS:
        places: dict[str, str] = {}
        for record in job.counted(records_of(folder / name)):
            identifier = record.identifier("id")
            if identifier in places:
                raise twice(identifier, places[identifier], record.where)
            places[identifier] = record.where
            texts[identifier] = titled(record, "title", "text")
            if not texts[identifier].strip():
                job.malformed.meet(EMPTY_TEXT, record.where, "neither title nor text")
    return Domain(folder, texts, _negatives(folder / NEGATIVES))


def known_item_rows(
    domains: Sequence[Domain], split: str, counts: RowCounts
) -> Iterator[TrainingRow]:
    """Yield the rows of a split: the query with its answers, then its negatives.

    A query is title and description; a document is title and text; see :func:`titled`.

    Deviation: the published conversion keeps negatives that are the answer of the query, by id or
    by text. This function leaves them out.

    Args:
        domains: The domains, in order.
        split: ``train``, ``validation`` or ``test``.
        counts: Receives every row. Queries and documents that are empty or unknown are left out.

    Raises:
        DataError: A file is malformed, or a query id is not unique.
    """
    places: dict[str, str] = {}
    for domain in domains:
        queries = list(_queries(domain.file(split, "queries.json"), places))
        qrels = _judged(domain, split, {query.id for query in queries}, counts.malformed)
        for query in queries:
            row = _row(query, qrels.get(query.id, {}), domain, counts)
            if row is not None:
                counts.add(row)
                yield row


def _queries(path: Path, places: dict[str, str]) -> Iterator[Text]:
    """Read the queries of a file, and store their places in ``places``; ignore other fields."""
    for record in records_of(path):
        query = Text(record.where, record.identifier("id"), titled(record, "title", "description"))
        if query.id in places:
            raise twice(query.id, places[query.id], query.where)
        places[query.id] = query.where
        yield query


def _judged(
    domain: Domain, split: str, queries: Container[str], malformed: MalformedRecords
) -> Qrels:
    path = domain.file(split, "qrels.txt")
    usable = usable_judgements(
        iterate_judgements(path), queries=queries, documents=domain.texts, malformed=malformed
    )
    return collect_judgements(usable, str(path))


def _row(
    query: Text, judged: Mapping[str, int], domain: Domain, counts: RowCounts
) -> TrainingRow | None:
    if not query.text.strip():
        counts.malformed.meet(EMPTY_TEXT, query.where, "neither title nor description")
        return None
    answers = domain.items((one for one, grade in judged.items() if grade > 0), "positive")
    if not answers:
        counts.left_out["queries_without_answer"] += 1
        return None
    others = [one for one, grade in judged.items() if grade <= 0]
    others += domain.released(query.id, counts.malformed)
    texts = {item.content for item in answers}
    negatives = []
    for item in domain.items(dict.fromkeys(others), "negative"):
        if item.content in texts:
            counts.left_out["answers_among_negatives"] += 1
        else:
            negatives.append(item)
    return TrainingRow(Query(query.id, query.text), (*answers, *negatives))


def _negatives(path: Path) -> dict[str, tuple[str, ...]]:
    """Read the negatives of each query from one JSON object with lists of ids."""
    content = read_whole(path)
    try:
        values: Any = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}.") from error
    if not isinstance(values, dict):
        raise DataError(f"{path}: an object of queries and lists of documents was expected.")
    for query_id, doc_ids in values.items():
        if not isinstance(doc_ids, list):
            raise DataError(f"{path}, query {query_id!r}: a list of documents was expected.")
    return {
        query_id: tuple(checked_id(doc_id, f"{path}, query {query_id!r}") for doc_id in doc_ids)
        for query_id, doc_ids in values.items()
    }
