"""Names of the datasets that ``hype data prepare`` makes, for readers that meet one too early."""

from __future__ import annotations

HARD_TASKS = ("followir-train", "followir-test", "tot-train", "tot-test", "dl-hard-test")
"""Names under which ``hypencli.data.prepare`` makes datasets; a test holds both together."""


def prepare_hint(name: str) -> str:
    """The command that prepares the dataset ``name``, as a line; empty for any other name.

    Args:
        name: A dataset's name, also in the reproduction's spelling (``FollowIR_train``), also
            with a part of it behind a slash.
    """
    dataset = name.split("/")[0].lower().replace("_", "-")
    return f"Prepare it: hype data prepare {dataset}\n" if dataset in HARD_TASKS else ""
