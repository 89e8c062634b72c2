"""Query sets perturbed, and what runs of them lose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries, query_set
from hypencli.errors import ModelError, UsageError
from hypencli.evaluation import measures as library
from hypencli.ops.evaluation.robustness import robustness_loss
from hypencli.ops.evaluation.run import EvaluateOptions, evaluate
from hypencli.ops.models import ModelSource
from hypencli.ops.perturb import Perturbed, PerturbOptions, perturb, variation_of
from hypencli.ops.search.options import Output, SearchOptions
from hypencli.ops.search.run import search
from hypencli.records import Query
from hypestore import Store


@pytest.fixture
def queries(tiny_collection: Path) -> Path:
    return tiny_collection / "queries.jsonl"


@pytest.fixture
def make(queries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Perturbs the tiny queries into a folder of the test."""
    monkeypatch.chdir(tmp_path)

    def made(kind: str, **options: Any) -> Perturbed:
        selected = PerturbOptions(kind, **options)  # type: ignore[arg-type]
        return perturb(open_queries(queries), selected, overwrite=True)

    return made


def rows(done: Perturbed) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("kind", ["misspelling", "word-drop", "ordering"])
def test_a_variant_of_every_query_under_its_own_id(make: Any, queries: Path, kind: str) -> None:
    done = make(kind, seed=3)
    assert done.path.name.endswith(f".{kind}-3.jsonl")
    asked = open_queries(queries)
    actual = open_queries(done.path)
    assert [query.query_id for query in actual] == [query.query_id for query in asked]
    for row, query in zip(rows(done), asked, strict=True):
        assert (row["original"], row["kind"], row["seed"]) == (query.text, kind, 3)
        assert row["text"] != query.text
    assert (done.n_queries, done.n_changed, done.unchanged) == (12, 12, [])
    assert done.examples[0] == (asked.queries[0].text, rows(done)[0]["text"])
    assert variation_of(actual.id) == kind


def test_the_seed_decides_and_other_queries_do_not(make: Any, queries: Path) -> None:
    first = rows(make("misspelling"))
    assert rows(make("misspelling")) == first
    assert rows(make("misspelling", seed=1)) != first
    asked = open_queries(queries)
    some = query_set("some", list(asked)[5:7])
    alone = perturb(some, PerturbOptions("misspelling"), output=Path("some.jsonl"))
    assert [row["text"] for row in rows(alone)] == [row["text"] for row in first[5:7]]


def test_queries_with_nothing_to_change_are_told(make: Any, tmp_path: Path) -> None:
    short = query_set("short", [Query("1", "one"), Query("2", "one two")])
    done = perturb(short, PerturbOptions("word-drop"), output=tmp_path / "x.jsonl")
    assert (done.n_changed, done.unchanged) == (1, ["1"])
    assert rows(done)[0]["text"] == "one"


def test_synonyms_come_from_a_word_list(make: Any, tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_text("river\tstream\nwater\tdrink\n", encoding="utf-8")
    done = make("synonym", words=tmp_path / "words.tsv")
    changed = [row for row in rows(done) if row["text"] != row["original"]]
    assert 0 < len(changed) == done.n_changed < 12
    for row in changed:
        assert {"stream", "drink"} & set(row["text"].split())


def test_paraphrases_come_from_a_model(make: Any, tiny_seq2seq: Path) -> None:
    done = make("paraphrase", model=str(tiny_seq2seq), prefix="a the ", device="cpu")
    assert done.n_changed > 0
    for row in rows(done):
        assert row["text"].strip()
    assert rows(make("paraphrase", model=str(tiny_seq2seq), prefix="a the ")) == rows(done)
    other = rows(make("paraphrase", model=str(tiny_seq2seq), prefix="a the ", seed=1))
    assert [row["text"] for row in other] != [row["text"] for row in rows(done)]


def test_paraphrases_are_the_beams_of_the_model(tiny_seq2seq: Path) -> None:
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    from hypencli.models.paraphrase import paraphrases

    texts = ["what is river", "the moon and the planet near a star"]
    actual = paraphrases(tiny_seq2seq, texts, device=torch.device("cpu"), beams=3, max_length=12)
    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_seq2seq)
    tokenizer = AutoTokenizer.from_pretrained(tiny_seq2seq)
    for text, beams in zip(texts, actual, strict=True):
        tokens = tokenizer([text], return_tensors="pt")
        written = model.generate(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            num_beams=3,
            num_return_sequences=3,
            max_new_tokens=12,
        )
        lines = tokenizer.batch_decode(written, skip_special_tokens=True)
        assert beams == [" ".join(line.split()) for line in lines]


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("synonym", {}, "none is shipped"),
        ("paraphrase", {}, "none is shipped"),
        ("ordering", {"words": Path("x")}, "uses no word list"),
        ("ordering", {"model": "x"}, "uses no model"),
        ("ordering", {"changes": 0}, "at least 1"),
        ("ordering", {"seed": -1}, "the seed at least 0"),
        ("reversal", {}, "no variation 'reversal'"),
    ],
)
def test_what_a_kind_lacks_is_said(make: Any, kind: str, options: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        make(kind, **options)
    assert caught.value.hint or "at least 1" in words or "seed" in words


def test_a_model_of_another_kind_is_refused(make: Any, tiny_backbone: Path, tmp_path: Path) -> None:
    for model in (str(tiny_backbone), str(tmp_path)):
        with pytest.raises(ModelError, match="cannot be loaded as a sequence-to-sequence model"):
            make("paraphrase", model=model)


def test_a_file_is_called_by_the_whole_id_of_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/x/dev", "b/x/dev", "b/x/dev.2"):
        perturb(query_set(f"irds:{name}", [Query("q", "a long river")]), PerturbOptions("ordering"))
    created = {path.name.removesuffix(".ordering-0.jsonl") for path in tmp_path.iterdir()}
    assert created == {"a-x-dev", "b-x-dev", "b-x-dev.2"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("file:cranfield/queries.misspelling-0.jsonl", "misspelling"),
        ("file:x.word-drop-12.jsonl.gz", "word-drop"),
        ("file:x.jsonl", None),
        ("irds:misspelling-0", None),
        ("file:x.misspelling.jsonl", None),
    ],
)
def test_the_kind_is_read_from_the_name(name: str, kind: str | None) -> None:
    assert variation_of(name) == kind


@pytest.fixture
def store(study: Path, make: Any, tiny_collection: Path) -> Store:
    """Runs of three perturbed query sets beside the base, two of one kind."""
    store = Store.open(study)
    for kind, seed in (("misspelling", 0), ("misspelling", 1), ("word-drop", 0)):
        path = make(kind, seed=seed).path
        options = SearchOptions(
            k=20, output=Output(name=f"{kind}-{seed}", qrels=str(tiny_collection / "qrels.txt"))
        )
        search(store, open_queries(path), ModelSource("hyper"), options)
    return store


def test_losses_are_those_of_the_figures(store: Store, tiny_collection: Path) -> None:
    actual = robustness_loss(store, "hyper-run", measures=("nDCG@10", "RR"))
    qrels = read_qrels(tiny_collection / "qrels.txt").qrels
    parsed = library.parse_measures(("nDCG@10", "RR"))

    def mean(run: str) -> float:
        results = store.run(run).results()
        return library.evaluate(results, qrels, parsed).aggregates["nDCG@10"]

    kinds = {kind.kind: kind for kind in actual.kinds}
    assert set(kinds) == {"misspelling", "word-drop"}
    assert set(kinds["misspelling"].runs) == {"misspelling-0", "misspelling-1"}
    base = mean("hyper-run")
    wanted = (mean("misspelling-0") + mean("misspelling-1")) / 2
    loss = kinds["misspelling"].losses[0]
    assert (loss.measure, loss.base, loss.variant) == (
        "nDCG@10",
        pytest.approx(base),
        pytest.approx(wanted),
    )
    assert loss.loss == pytest.approx((base - wanted) / base)
    assert kinds["word-drop"].losses[0].variant == pytest.approx(mean("word-drop-0"))
    losses = [kind.losses[0].loss or 0.0 for kind in actual.kinds]
    assert losses == sorted(losses, reverse=True)
    assert actual.unmeasured == ()


def test_other_models_and_depths_are_not_variants(store: Store, tiny_collection: Path) -> None:
    path = Path(f"{tiny_collection.name}.word-drop-0.jsonl")
    qrels = str(tiny_collection / "qrels.txt")
    search(
        store,
        open_queries(path),
        ModelSource("plain"),
        SearchOptions(k=20, output=Output(qrels=qrels)),
    )
    search(
        store,
        open_queries(path),
        ModelSource("hyper"),
        SearchOptions(k=10, output=Output(qrels=qrels)),
    )
    kinds = {kind.kind: kind.runs for kind in robustness_loss(store, "hyper-run").kinds}
    assert kinds["word-drop"] == ("word-drop-0",)


def test_runs_may_be_named(store: Store) -> None:
    loss = robustness_loss(store, "hyper-run", ("word-drop-0", "plain-run"))
    assert {kind.kind for kind in loss.kinds} == {
        "word-drop",
        str(store.get("plain-run", kind="run").inputs["queries"]),
    }


def test_runs_without_the_judgements_are_left_out_and_said(store: Store, make: Any) -> None:
    path = make("ordering").path
    search(
        store,
        open_queries(path),
        ModelSource("hyper"),
        SearchOptions(k=20, output=Output(name="late")),
    )
    assert robustness_loss(store, "hyper-run").unmeasured == ("late",)
    with pytest.raises(UsageError, match="late was not measured") as caught:
        robustness_loss(store, "hyper-run", ("late",))
    assert "hype eval late" in str(caught.value.hint)


def test_only_measures_that_all_have_are_compared(store: Store, tiny_collection: Path) -> None:
    options = EvaluateOptions(qrels=str(tiny_collection / "qrels.txt"), measures=("AP",))
    evaluate(store, "hyper-run", options)
    assert "AP" not in robustness_loss(store, "hyper-run").measures
    with pytest.raises(UsageError, match="without an evaluation with AP on the") as caught:
        robustness_loss(store, "hyper-run", measures=("AP",))
    assert '--qrels QRELS --measures "AP"' in str(caught.value.hint)


def test_the_kind_is_read_from_the_rows(store: Store, make: Any, tiny_collection: Path) -> None:
    """The name of the file does not matter."""
    path = make("ordering", seed=3).path
    renamed = path.rename(path.with_name("noisy.jsonl"))
    queries = open_queries(renamed)
    assert queries.variation == ("ordering", 3)
    qrels = str(tiny_collection / "qrels.txt")
    options = SearchOptions(k=20, output=Output(name="noisy", qrels=qrels))
    done = search(store, queries, ModelSource("hyper"), options)
    assert store.get(done.run).stats["variation"] == {"kind": "ordering", "seed": 3}
    kinds = {kind.kind: kind.runs for kind in robustness_loss(store, "hyper-run").kinds}
    assert kinds["ordering"] == ("noisy",)


@pytest.mark.parametrize(
    "row",
    [
        {"id": "1", "text": "a", "kind": "ordering", "seed": 3},
        {"id": "1", "text": "a", "original": "b", "kind": "ordering"},
        {"id": "1", "text": "a", "original": "b", "kind": "ordering", "seed": True},
        {"id": "1", "text": "a", "original": "b", "kind": "x" * 101, "seed": 3},
        {"id": "1", "text": "a", "original": "b", "kind": ["ordering"], "seed": 3},
    ],
)
def test_other_rows_are_no_variation(tmp_path: Path, row: dict[str, object]) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert open_queries(path).variation is None


def test_nothing_to_compare_with_says_what_to_do(store: Store) -> None:
    with pytest.raises(UsageError, match="No run differs from plain-run") as caught:
        robustness_loss(store, "plain-run")
    assert "hype perturb" in str(caught.value.hint)
