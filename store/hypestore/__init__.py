"""The project store of hype: embedding sets, graphs, models, runs and evaluations on disk.

    store = hypestore.Store.open(hypestore.find_store())
    for run in store.artifacts("run"):
        print(run.id, run.inputs["corpus"])
    store.catalog.query("SELECT run, measure, value FROM leaderboard")

The format on disk is specified in ``store/FORMAT.md``. Nothing here needs a machine-learning
library.
"""

from __future__ import annotations

from pydantic import JsonValue

from hypestore.adoption import Adopted
from hypestore.caches.caches import Cache
from hypestore.calibrations import CurvePoint
from hypestore.catalog.catalog import Catalog, QueryResult
from hypestore.catalog.schema import CatalogColumn, Relation
from hypestore.doctor import DoctorReport, Finding
from hypestore.embeddings.draft import EmbeddingWork
from hypestore.embeddings.files import EmbeddingSpec
from hypestore.embeddings.pieces import ShardNote, documents_sha256
from hypestore.embeddings.stored import EmbeddingSet, Shard
from hypestore.embeddings.vector_file import VectorFile, write_vector_file
from hypestore.errors import (
    AmbiguousReference,
    ArtifactBusy,
    ArtifactInUse,
    ArtifactNotFound,
    CatalogQueryError,
    DamagedArtifact,
    DiskFull,
    IncompleteWork,
    InvalidContent,
    NameTaken,
    StoreError,
    StoreExists,
    StoreNotFound,
    StoreNotWritable,
    StoreVersionError,
    TextNotKept,
    TooManyOpenFiles,
)
from hypestore.files import (
    atomic_folder,
    atomic_path,
    atomic_write_bytes,
    atomic_write_text,
    writing_in,
)
from hypestore.footer import refuse_odd_footer
from hypestore.free_space import require_space
from hypestore.graphs.draft import GraphDraft
from hypestore.graphs.stored import NeighbourGraph
from hypestore.layout import FOLDERS, PROGRESS_NAME, SCRATCH_NAME, find_store
from hypestore.manifest import (
    FORMAT_VERSION,
    KINDS,
    SHORTENED,
    FileRecord,
    Kind,
    Manifest,
    artifact_id,
    can_be_name,
)
from hypestore.runs.draft import RunWriter
from hypestore.runs.stored import Ranking, ResultsByQuery, StoredRun
from hypestore.store import Store
from hypestore.verification import read_artifact_table, verified_path
from hypestore.work.progress import Point, read_progress
from hypestore.work.unfinished import Unfinished
from hypestore.work.work import Draft

__all__ = [
    "FOLDERS",
    "FORMAT_VERSION",
    "KINDS",
    "PROGRESS_NAME",
    "SCRATCH_NAME",
    "SHORTENED",
    "Adopted",
    "AmbiguousReference",
    "ArtifactBusy",
    "ArtifactInUse",
    "ArtifactNotFound",
    "Cache",
    "Catalog",
    "CatalogColumn",
    "CatalogQueryError",
    "CurvePoint",
    "DamagedArtifact",
    "DiskFull",
    "DoctorReport",
    "Draft",
    "EmbeddingSet",
    "EmbeddingSpec",
    "EmbeddingWork",
    "FileRecord",
    "Finding",
    "GraphDraft",
    "IncompleteWork",
    "InvalidContent",
    "JsonValue",
    "Kind",
    "Manifest",
    "NameTaken",
    "NeighbourGraph",
    "Point",
    "QueryResult",
    "Ranking",
    "Relation",
    "ResultsByQuery",
    "RunWriter",
    "Shard",
    "ShardNote",
    "Store",
    "StoreError",
    "StoreExists",
    "StoreNotFound",
    "StoreNotWritable",
    "StoreVersionError",
    "StoredRun",
    "TextNotKept",
    "TooManyOpenFiles",
    "Unfinished",
    "VectorFile",
    "artifact_id",
    "atomic_folder",
    "atomic_path",
    "atomic_write_bytes",
    "atomic_write_text",
    "can_be_name",
    "documents_sha256",
    "find_store",
    "read_artifact_table",
    "read_progress",
    "refuse_odd_footer",
    "require_space",
    "verified_path",
    "write_vector_file",
    "writing_in",
]
