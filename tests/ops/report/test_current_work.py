"""Work in progress: its holder, its curves, and when it changed."""

from __future__ import annotations

import math

import hypestore as hs
from hypencli.ops.report.current_work import current_curves, current_work, work_state


def test_work_has_a_holder_as_long_as_a_process_holds_it(store: hs.Store) -> None:
    assert current_work(store) == ()
    with store.draft("model", "m", {"recipe": "tiny"}, name="growing") as draft:
        (held,) = current_work(store)
        assert held.holder
        assert (held.kind, held.label, held.progress) == ("model", "growing", None)
        draft.progress([(7, "loss", 0.5)])
        assert current_work(store)[0].progress == "step 7"
    (left,) = current_work(store)
    assert left.holder is None


def test_curves_are_the_points_that_were_logged(store: hs.Store) -> None:
    points = [(step, 1 / step) for step in range(1, 301)]
    with store.draft("model", "m", {"recipe": "tiny"}) as draft:
        draft.progress([(step, "loss", value) for step, value in points])
        draft.progress([(300, "validation.RR", 0.5), (300, "epoch", 1.0), (301, "loss", math.nan)])
        (model,) = current_curves(store, points=100)
    assert set(model.curves) == {"loss", "validation.RR"}
    assert set(model.curves["loss"]) < set(points)
    assert len(model.curves["loss"]) <= 100
    assert model.not_finite == {"loss": 1}
    assert model.unfinished


def test_the_state_changes_when_work_begins_advances_and_ends(store: hs.Store) -> None:
    states = [work_state(store)]
    with store.draft("model", "m", {}) as draft:
        states.append(work_state(store))
        draft.progress([(1, "loss", 0.5)])
        states.append(work_state(store))
        assert work_state(store) == states[-1]
    states.append(work_state(store))
    with store.draft("model", "m", {}) as draft:
        draft.commit()
    states.append(work_state(store))
    assert len(set(states)) == 4
    assert states[0] == states[-1] == ()
