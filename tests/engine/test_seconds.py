"""Times of a search add up."""

from __future__ import annotations

import pytest

from hypencli.engine.seconds import SearchSeconds


def test_parts_add_up_and_no_part_is_lost() -> None:
    engine = SearchSeconds(selection=1, scoring=2, topk=4)
    whole = engine + SearchSeconds(query_encoding=8, writing=16, topk=0.5)
    assert whole == SearchSeconds(8, 1, 2, 4.5, 16)
    assert (whole.search, whole.total) == (7.5, 31.5)
    assert engine.plus(scoring=1).search == 8
    with pytest.raises(AttributeError, match="waiting"):
        engine.plus(waiting=1)
