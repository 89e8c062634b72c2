"""A hub of one dataset on this machine, and its cache: the real client talks to both."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class LocalHub:
    """Datasets by name, each a mapping of file names to contents, and what was asked for."""

    cache: Path
    datasets: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    downloads: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[dict[str, str], bytes] | None:
        """Headers and body of a GET or HEAD, or None where there is no such thing."""
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        api = parts[0] == "api"
        owner_and_name, rest = parts[1 + api : 3 + api], parts[3 + api :]
        files = self.datasets.get("/".join(owner_and_name))
        if files is None:
            return None
        if not api:
            file = "/".join(rest[2:])
            headers = {"ETag": f'"{sha1(files[file]).hexdigest()}"', "X-Repo-Commit": COMMIT}
            return headers, files[file]
        if rest and rest[0] == "tree":
            values: object = [
                {"type": "file", "path": file, "size": len(body), "oid": sha1(body).hexdigest()}
                for file, body in files.items()
            ]
        else:
            values = {"id": "/".join(owner_and_name), "sha": COMMIT, "siblings": []}
        return {"Content-Type": "application/json"}, json.dumps(values).encode()


@pytest.fixture
def local_hub(tmp_path: Path, serve_hub: Callable[..., None]) -> LocalHub:
    """The hub's client, with its cache in a folder of the test and its server on this machine."""
    hub = LocalHub(tmp_path / "hub-cache")

    def sent(address: str) -> None:
        if "/resolve/" in address:
            hub.downloads.append(unquote(address).partition(COMMIT)[2].strip("/"))

    serve_hub(hub.answer, cache=hub.cache, absent={"X-Error-Code": "RepoNotFound"}, sent=sent)
    return hub
