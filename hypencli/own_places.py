"""Places of files that this account recorded, told apart from those that a given store names.

An artifact records where its judgements or queries are, so that later commands need not be told. A
store or a study of somebody else can name any file. So each recorded place gets a seal: a keyed
hash, whose key lies in the account of the user and never leaves it. A place is followed only if its
seal was made with this key.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypencli.paths import user_path

SEALS = "place_seals"
"""Key of the seals in the provenance of a manifest: name of a place -> seal."""


def key_file() -> Path:
    """Return the file of the key: ``$XDG_STATE_HOME/hype/key``, else below ``~/.local/state``.

    Raises:
        RuntimeError: The account has no home. The current folder is none: it may be somebody
            else's, who would then know the key.
    """
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    state = named if named.is_absolute() else user_path("~/.local/state")
    if not state.is_absolute():
        raise RuntimeError("This account has no home folder.")
    return state / "hype" / "key"


def place_seal(name: str, place: str) -> str | None:
    """Return the seal of a place; None if this account can keep no key.

    Args:
        name: What lies there: ``qrels`` or ``queries``.
        place: A path, or the name of a dataset.
    """
    key = _read_key() or _make_key()
    return None if key is None else _seal(key, name, place)


def place_seals(**places: str | None) -> dict[str, dict[str, str]]:
    """Return the seals of places as a part of provenance; places that are None have none."""
    seals = {
        name: seal
        for name, place in places.items()
        if place is not None and (seal := place_seal(name, place)) is not None
    }
    return {SEALS: seals} if seals else {}


def is_own_place(seals: object, name: str, place: str) -> bool:
    """Return whether this account recorded a place.

    Args:
        seals: Seals by name: the part of provenance under :data:`SEALS`, from any source.
        name: What lies there: ``qrels`` or ``queries``.
        place: The place that is recorded.
    """
    seal = seals.get(name) if isinstance(seals, Mapping) else None
    key = _read_key()
    return (
        key is not None
        and isinstance(seal, str)
        and hmac.compare_digest(seal.encode(), _seal(key, name, place).encode())
    )


def _seal(key: bytes, name: str, place: str) -> str:
    return hmac.new(key, json.dumps([name, place]).encode(), hashlib.sha256).hexdigest()


def _read_key() -> bytes | None:
    """The key of this account; None if there is none, or it is no key."""
    try:
        text = key_file().read_text(encoding="ascii").strip()
    except (OSError, RuntimeError, ValueError):  # RuntimeError: the account has no home
        return None
    return bytes.fromhex(text) if re.fullmatch(r"[0-9a-f]{64}", text) else None


def _make_key() -> bytes | None:
    """Make the key of this account, unless another process makes it first."""
    try:
        path = key_file()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent)  # only the account may read it
        try:
            with os.fdopen(handle, "w", encoding="ascii") as stream:
                stream.write(secrets.token_hex(32) + "\n")
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            Path(temporary).unlink()
    except (OSError, RuntimeError):  # a home that cannot be written: nothing is recorded
        return None
    return _read_key()
