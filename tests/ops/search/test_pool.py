from __future__ import annotations

from pathlib import Path

import pytest

from hypencli.ops.search.options import EngineSpec, SearchOptions, Target
from hypencli.ops.search.pool import AskerPool
from hypestore import ArtifactNotFound, Store

QUESTIONS = ["what is a river", "bread"]


def test_a_model_is_loaded_once_for_all_its_questions(finished_study: Path) -> None:
    pool = AskerPool(Store.open(finished_study), device="cpu")
    exact = pool.plan("hyper", SearchOptions(k=3))
    guided = pool.plan("hyper", SearchOptions(k=3, engine=EngineSpec("guided")))
    assert exact.key != guided.key
    assert exact.key == pool.plan("hyper", SearchOptions(k=3)).key
    loaded = pool.model(exact.target.model)
    answers = [pool.ask(plan, QUESTIONS) for plan in (exact, guided, exact)]
    assert answers[0][0].hits == answers[2][0].hits
    assert pool.model(exact.target.model) is loaded


def test_an_artifact_that_was_removed_after_the_plan_is_told(study: Path) -> None:
    store = Store.open(study)
    pool = AskerPool(store, device="cpu")
    plan = pool.plan("plain", SearchOptions(k=3, target=Target("plain-docs")))
    assert pool.ask(plan, QUESTIONS)[0].hits
    store.remove("plain-docs", force=True)
    with pytest.raises(ArtifactNotFound, match="plain-docs was removed"):
        pool.ask(plan, QUESTIONS)
    store.remove("plain", force=True)
    with pytest.raises(ArtifactNotFound, match="plain was removed"):
        pool.model(plan.target.model)


def test_a_search_ends_at_the_step_after_nobody_waits(finished_study: Path) -> None:
    pool = AskerPool(Store.open(finished_study), device="cpu")

    class Left(Exception):
        pass

    def leave(count: int) -> None:
        raise Left

    plan = pool.plan("hyper", SearchOptions(k=3))
    with pytest.raises(Left):
        pool.ask(plan, QUESTIONS, on_scored=leave)
    assert pool.ask(plan, QUESTIONS)[0].hits
