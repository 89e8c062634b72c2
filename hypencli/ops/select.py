"""Selection of an embedding set for a search, and of the queries of its dataset."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from hypencli.data.queries import QuerySet
from hypencli.errors import DataError, UsageError
from hypencli.escaping import escape_shell
from hypencli.ops.embedding_sets.identity import of_content
from hypencli.ops.models import ModelSource, display_name, find_model
from hypencli.ops.recorded_places import recorded_queries
from hypencli.progress import SILENT, Progress
from hypestore import EmbeddingSet, Manifest, Store

if TYPE_CHECKING:
    from hypencli.data.corpus import Corpus


def choose_embeddings(
    store: Store,
    model: Manifest | None,
    *,
    named: str | None = None,
    corpus: str | None = None,
    progress: Progress = SILENT,
) -> Manifest:
    """Select the embedding set that is named, or the only one that fits model and corpus.

    If several sets fit and no corpus is named, the default corpus of the store decides.

    Args:
        store: The project store.
        model: The model whose passage encoder must have made the vectors; None accepts any set.
        named: Name or id of an embedding set.
        corpus: Corpus id, or a value that ``hype encode`` accepts.
        progress: Receives a message with the set that was selected.

    Raises:
        UsageError: The set named was made with another passage encoder, or no set or several sets
            fit.
    """
    fingerprint = None if model is None else model.stats["passage_fingerprint"]
    if named is not None:
        embeddings = store.get(named, kind="embeddings")
        if model is not None and embeddings.inputs["passage_fingerprint"] != fingerprint:
            raise UsageError(
                f"The embedding set {display_name(embeddings)} was made with another passage "
                f"encoder than that of model {display_name(model)}; scores would be meaningless.",
                hint=f"Encode with this model: hype encode "
                f"{escape_shell(embeddings.inputs['corpus'])} "
                f"--model {escape_shell(display_name(model))}",
            )
        return embeddings
    existing = store.artifacts("embeddings")
    fitting = [
        one for one in existing if model is None or one.inputs["passage_fingerprint"] == fingerprint
    ]
    if corpus is None and len(fitting) > 1:
        corpus = store.defaults.get("corpus")
    fitting = _of_corpus(fitting, corpus, progress)
    if len(fitting) != 1:
        raise _no_single(model, corpus, fitting, existing)
    progress.message(f"embeddings: {display_name(fitting[0])} ({fitting[0].inputs['corpus']})")
    return fitting[0]


def choose_any_embeddings(
    store: Store,
    *,
    named: str | None = None,
    model: ModelSource | None = None,
    corpus: str | None = None,
    progress: Progress = SILENT,
) -> Manifest:
    """Select an embedding set for an operation that needs no model.

    Args:
        store: The project store.
        named: Name or id of an embedding set; the other arguments are ignored then.
        model: The model that made the set; None accepts any.
        corpus: Corpus id, or a value that ``hype encode`` accepts.
        progress: Receives a message with the set that was selected.

    Raises:
        UsageError: No set or several sets fit.
    """
    manifest = None if model is None or named is not None else find_model(store, model, progress)
    return choose_embeddings(store, manifest, named=named, corpus=corpus, progress=progress)


def choose_texts(store: Store, *, named: str | None = None, corpus: str | None = None) -> Manifest:
    """Select the embedding set whose texts are searched: the oldest that has them.

    Several sets of one content have the same texts, so the choice changes no ranking.

    Args:
        store: The project store.
        named: Name or id of an embedding set.
        corpus: Corpus id, or a value that ``hype encode`` accepts.

    Raises:
        UsageError: The set has no texts, or no set or sets of several contents fit.
    """
    if named is not None:
        embeddings = store.get(named, kind="embeddings")
        if not embeddings.inputs.get("keep_text"):
            raise UsageError(
                f"The embedding set {display_name(embeddings)} was made without texts.",
                hint=f"Encode with texts: hype encode {escape_shell(embeddings.inputs['corpus'])}",
            )
        return embeddings
    existing = [one for one in store.artifacts("embeddings") if one.inputs.get("keep_text")]
    fitting = existing
    if corpus is None and len({_content(one) for one in fitting}) > 1:
        corpus = store.defaults.get("corpus")
    fitting = _of_corpus(fitting, corpus, SILENT)
    if len({_content(one) for one in fitting}) != 1:
        raise _no_single(None, corpus, fitting, existing)
    return fitting[0]


def _content(embeddings: Manifest) -> tuple[object, ...]:
    """The inputs of a set that determine its texts; its id, for a set of unknown content."""
    fingerprint = embeddings.inputs.get("corpus_fingerprint")
    if fingerprint is None:
        return (embeddings.id,)
    return (fingerprint, embeddings.inputs.get("limit"), embeddings.inputs.get("on_error"))


def _of_corpus(
    embeddings: list[Manifest], corpus: str | None, progress: Progress
) -> list[Manifest]:
    """Select the sets of a corpus: by a name that they have, else by the dataset of that name.

    A path selects the sets that were encoded from what it holds now.

    Raises:
        DataError: The path holds other content than was encoded.
    """
    if corpus is None:
        return embeddings
    is_path = os.path.exists(os.path.expanduser(corpus))  # noqa: PTH110, PTH111 - raises nothing
    dataset = _opened(corpus) if is_path else None
    if dataset is not None:
        return _of_path(embeddings, corpus, dataset.corpus_id, progress)
    named = [one for one in embeddings if _is_corpus(one, corpus)]
    if named:
        return named
    dataset = _opened(corpus)
    return [] if dataset is None else [o for o in embeddings if _is_corpus(o, dataset.corpus_id)]


def _opened(corpus: str) -> Corpus | None:
    """The corpus of this name, or None if it has no documents."""
    from hypencli.data.corpus import open_corpus

    try:
        return open_corpus(corpus)
    except DataError:
        return None


def _of_path(
    embeddings: list[Manifest], path: str, corpus_id: str, progress: Progress
) -> list[Manifest]:
    """Select the sets whose content is that of a file or folder.

    Raises:
        DataError: The path cannot be read, or holds other content than was encoded.
    """
    same, unknown = of_content(embeddings, path)
    if same:
        return same
    named = [one for one in embeddings if _is_corpus(one, path) or _is_corpus(one, corpus_id)]
    comparable = [one for one in named if one not in unknown]
    if comparable:
        raise DataError(
            f"{path} has changed since {display_name(comparable[-1])} was encoded from it.",
            hint=f"Encode it as it is now: hype encode {escape_shell(path)}; or search what "
            f"was encoded: `embeddings={display_name(comparable[-1])}`",
        )
    for one in named:
        progress.message(
            f"{display_name(one)} does not say which content it was made from; {path} may hold "
            "another one"
        )
    return named


def _is_corpus(embeddings: Manifest, name: str) -> bool:
    own = str(embeddings.inputs["corpus"])
    return name in (own, own.partition(":")[2], embeddings.name, embeddings.id)


def _no_single(
    model: Manifest | None, corpus: str | None, fitting: list[Manifest], existing: list[Manifest]
) -> UsageError:
    of_corpus = "" if corpus is None else f" of corpus {corpus}"
    listed = ", ".join(
        f"{display_name(one)} ({one.inputs['corpus']})" for one in fitting or existing
    )
    name = "NAME" if model is None else display_name(model)
    if fitting:
        fit_model = "" if model is None else f" fit model {name}"
        return UsageError(
            f"Several embedding sets{of_corpus}{fit_model}: {listed}.",
            hint="Name one by its name or id, or add `corpus=DATASET`",
        )
    target = (corpus or "DATASET").partition(":")[2] or corpus or "DATASET"
    of_model = "" if model is None else f" was made with the passage encoder of model {name}"
    return UsageError(
        f"No embedding set{of_corpus}{of_model}. Embedding sets of the store: {listed or 'none'}.",
        hint=f"Encode first: hype encode {escape_shell(target)} --model {escape_shell(name)}",
    )


def own_queries(embeddings: Manifest, judged_by: str | None = None) -> QuerySet:
    """Open the queries of the dataset that an embedding set was made from.

    Args:
        embeddings: The embedding set.
        judged_by: Judgements in place of those of a BEIR folder; see
            :func:`~hypencli.data.queries.open_queries`.

    Raises:
        UsageError: The dataset has no queries, or somebody else recorded where they are.
    """
    from hypencli.data.queries import open_queries

    source = recorded_queries(embeddings)
    if source is None:
        raise UsageError(
            f"No queries: the corpus {embeddings.inputs['corpus']} of the embedding set "
            f"{display_name(embeddings)} has none.",
            hint="Name the queries: an ir_datasets id, a JSONL, TSV or CSV file, or -",
        )
    return open_queries(source, judged_by=judged_by)


def texts_by_id(embeddings: EmbeddingSet, doc_ids: Collection[str]) -> dict[str, str]:
    """Read the texts of documents by id. Ids that the embedding set lacks are left out."""
    wanted = list(doc_ids)
    ordinals = embeddings.ordinals(wanted)
    present = ordinals >= 0
    ids = [doc_id for doc_id, is_present in zip(wanted, present, strict=True) if is_present]
    return dict(zip(ids, embeddings.texts(ordinals[present]), strict=True))
