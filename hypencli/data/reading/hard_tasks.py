"""Names of the datasets of ``hype data prepare``, for hints about datasets not yet prepared."""

from __future__ import annotations

HARD_TASKS = ("followir-train", "followir-test", "tot-train", "tot-test", "dl-hard-test")
"""The names in ``hypencli.data.prepare``; a test checks that both agree."""


def prepare_hint(name: str) -> str:
    """Return a line with the command that prepares a dataset; empty for unknown names.

    Args:
        name: Name of a dataset. The spelling of the reproduction (``FollowIR_train``) and a part
            behind a slash are accepted.
    """
    dataset = name.split("/")[0].lower().replace("_", "-")
    return f"Prepare it: hype data prepare {dataset}\n" if dataset in HARD_TASKS else ""
