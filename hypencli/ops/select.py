"""Which embedding set a search means, and which queries."""

from __future__ import annotations

from hypencli.data.queries import QuerySet
from hypencli.errors import DataError, UsageError
from hypencli.ops.models import ModelSource, display_name, find_model
from hypencli.progress import SILENT, Progress
from hypestore import Manifest, Store


def choose_embeddings(
    store: Store,
    model: Manifest,
    *,
    named: str | None = None,
    corpus: str | None = None,
    progress: Progress = SILENT,
) -> Manifest:
    """The embedding set to search: the one named, or the one of this model and corpus.

    Args:
        store: The project store.
        model: The model that searches.
        named: An embedding set by name or id.
        corpus: A corpus id, or what ``hype encode`` takes; None is enough where one set fits.
        progress: Told what was taken.

    Raises:
        UsageError: The set named was made with another passage encoder; none fits; several fit.
    """
    fingerprint = model.stats["passage_fingerprint"]
    if named is not None:
        embeddings = store.get(named, kind="embeddings")
        if embeddings.inputs["passage_fingerprint"] != fingerprint:
            raise UsageError(
                f"The embedding set {display_name(embeddings)} was made with another passage "
                "encoder than that "
                f"of model {display_name(model)}; its scores would mean nothing.",
                hint=f"Encode with this model: hype encode {embeddings.inputs['corpus']} "
                f"--model {display_name(model)}",
            )
        return embeddings
    fitting = store.find("embeddings", {"passage_fingerprint": fingerprint})
    if corpus is None and len(fitting) > 1:
        corpus = store.defaults.get("corpus")
    fitting = _of_corpus(fitting, corpus)
    if len(fitting) == 1:
        progress.message(f"embeddings: {display_name(fitting[0])} ({fitting[0].inputs['corpus']})")
        return fitting[0]
    raise _no_single(store, model, corpus, fitting)


def choose_any_embeddings(
    store: Store,
    *,
    named: str | None = None,
    model: ModelSource | None = None,
    corpus: str | None = None,
    progress: Progress = SILENT,
) -> Manifest:
    """The embedding set that is meant where no model is needed: named, or the only one that fits.

    Args:
        store: The project store.
        named: An embedding set by name or id; nothing else is looked at then.
        model: The model it was made with; None takes any.
        corpus: A corpus id, or what ``hype encode`` takes; None is enough where one set fits.
        progress: Told what was taken.

    Raises:
        UsageError: None fits, or several do.
    """
    if named is not None:
        return store.get(named, kind="embeddings")
    if model is not None:
        manifest = find_model(store, model, progress)
        return choose_embeddings(store, manifest, corpus=corpus, progress=progress)
    existing = store.artifacts("embeddings")
    if corpus is None and len(existing) > 1:
        corpus = store.defaults.get("corpus")
    fitting = _of_corpus(existing, corpus)
    if len(fitting) == 1:
        progress.message(f"embeddings: {display_name(fitting[0])} ({fitting[0].inputs['corpus']})")
        return fitting[0]
    of_corpus = "" if corpus is None else f" of corpus {corpus}"
    listed = ", ".join(
        f"{display_name(one)} ({one.inputs['corpus']})" for one in fitting or existing
    )
    if fitting:
        raise UsageError(
            f"Several embedding sets{of_corpus}: {listed}.",
            hint="Say which, by its name or id, or by --model and --corpus",
        )
    raise UsageError(
        f"No embedding set{of_corpus}. Embedding sets here: {listed or 'none'}.",
        hint=f"Encode first: hype encode {corpus or 'DATASET'} --model NAME",
    )


def _of_corpus(embeddings: list[Manifest], corpus: str | None) -> list[Manifest]:
    """The sets of a corpus, by a name that they have, else by what is read under that name."""
    from hypencli.data.corpus import open_corpus

    named = [one for one in embeddings if corpus is None or _is_corpus(one, corpus)]
    if named or corpus is None:
        return named
    try:
        corpus_id = open_corpus(corpus).corpus_id
    except DataError:
        return []
    return [one for one in embeddings if _is_corpus(one, corpus_id)]


def _is_corpus(embeddings: Manifest, name: str) -> bool:
    own = str(embeddings.inputs["corpus"])
    return name in (own, own.partition(":")[2], embeddings.name, embeddings.id)


def _no_single(
    store: Store, model: Manifest, corpus: str | None, fitting: list[Manifest]
) -> UsageError:
    of_corpus = "" if corpus is None else f" of corpus {corpus}"
    if fitting:
        listed = ", ".join(f"{one.id} ({one.inputs['corpus']})" for one in fitting)
        return UsageError(
            f"Several embedding sets{of_corpus} fit model {display_name(model)}: {listed}.",
            hint="Say which: --embeddings ID, or --corpus DATASET",
        )
    existing = ", ".join(
        f"{one.id} ({one.inputs['corpus']})" for one in store.artifacts("embeddings")
    )
    target = (corpus or "DATASET").partition(":")[2] or corpus or "DATASET"
    return UsageError(
        f"No embedding set{of_corpus} was made with the passage encoder of model "
        f"{display_name(model)}. "
        f"Embedding sets here: {existing or 'none'}.",
        hint=f"Encode first: hype encode {target} --model {display_name(model)}",
    )


def own_queries(embeddings: Manifest) -> QuerySet:
    """The queries that come with the dataset an embedding set was made from.

    Raises:
        UsageError: The dataset has none.
    """
    from hypencli.data.queries import open_queries

    source = embeddings.stats.get("queries")
    if source is None:
        raise UsageError(
            f"Which queries? The corpus {embeddings.inputs['corpus']} of the embedding set "
            f"{display_name(embeddings)} has none of its own.",
            hint="Name them: hype search QUERIES (an ir_datasets id, a JSONL or TSV file, or -)",
        )
    return open_queries(str(source))
