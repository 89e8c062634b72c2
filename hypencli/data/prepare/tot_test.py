"""TREC Tip-of-the-Tongue 2023, development queries: documents, queries and judgements.

Source: ``trec-tot/2023/dev`` of ir_datasets, or the files of its archive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hypencli.data.prepare.collection import (
    CORPUS,
    QRELS,
    QUERIES,
    Text,
    write_judgements,
    write_texts,
)
from hypencli.data.prepare.download import downloaded
from hypencli.data.prepare.job import Job, Part, PreparedParts
from hypencli.data.prepare.records import Record, records_of, titled
from hypencli.data.reading.irds import IrdsSource
from hypencli.data.reading.judgements import Judgement, iterate_judgements
from hypencli.errors import DataError

DATASET = "trec-tot/2023/dev"
FILES = {"documents": "corpus.jsonl", "queries": "dev/queries.jsonl", "qrels": "dev/qrel.txt"}
"""Paths in the only folder of the archive ``TREC-TOT.zip``."""


@dataclass(frozen=True, slots=True)
class TotFiles:
    """The sources of the collection.

    Attributes:
        documents: Records with ``doc_id``, ``page_title`` and ``text``.
        queries: Records with an id, ``title`` and ``text``.
        query_id_key: Field of a query's id.
        judgements: Judgements of the queries.
        source: Id of the source for the record.
    """

    documents: Iterable[Record]
    queries: Iterable[Record]
    query_id_key: str
    judgements: Iterable[Judgement]
    source: str


def prepare_tot_test(job: Job) -> PreparedParts:
    """Write corpus, queries and judgements. Texts include titles, as in the training rows.

    Deviation: the reproduction trains with titles but omits the titles of documents and queries
    here, as ``hype encode trec-tot/2023/dev`` does.

    Raises:
        DataError: The source is missing or malformed.
    """
    tables = _irds_tables() if job.source_folder is None else _local_files(job.source_folder, job)
    malformed = job.malformed
    corpus = _texts(tables.documents, "doc_id", "page_title")
    documents = write_texts(job.out / CORPUS, job.counted(corpus), malformed)
    asked = _texts(tables.queries, tables.query_id_key, "title")
    queries = write_texts(job.out / QUERIES, job.counted(asked), malformed)
    qrels = write_judgements(
        job.out / QRELS,
        tables.judgements,
        queries=queries,
        documents=documents,
        malformed=malformed,
    )
    counts = {
        "documents": len(documents),
        "queries": len(queries),
        "judgements": sum(map(len, qrels.values())),
    }
    return PreparedParts((Part("dev", counts),), (tables.source,))


def _texts(records: Iterable[Record], id_key: str, title_key: str) -> Iterator[Text]:
    for record in records:
        text = titled(record, title_key, "text")
        yield Text(record.where, record.identifier(id_key), text)


def _irds_tables() -> TotFiles:
    dataset = IrdsSource(DATASET)
    return TotFiles(
        documents=downloaded(Record(*record) for record in dataset.records("documents")),
        queries=downloaded(Record(*record) for record in dataset.records("queries")),
        query_id_key="query_id",
        judgements=downloaded(dataset.qrels()),
        source=dataset.id,
    )


def _local_files(root: Path, job: Job) -> TotFiles:
    folder = next((one for one in (root, root / "TREC-TOT") if (one / "dev").is_dir()), root)
    paths = {what: folder / name for what, name in FILES.items()}
    missing = [name for what, name in FILES.items() if not paths[what].is_file()]
    if missing:
        raise DataError(
            f"{folder}: no {', '.join(missing)} in it.",
            hint=f"Expected {', '.join(FILES.values())}, as in the archive of TREC ToT 2023.",
        )
    return TotFiles(
        documents=records_of(paths["documents"]),
        queries=records_of(paths["queries"]),
        query_id_key="id",
        judgements=iterate_judgements(paths["qrels"]),
        source=job.source(folder),
    )
