"""A hub of one dataset on this machine, and its cache: the real client talks to both."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
def local_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """The hub's client, with its cache in a folder of the test and its server on this machine."""
    hub = LocalHub(tmp_path / "hub-cache")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = hub.answer(self.path)
            headers, body = found or ({"X-Error-Code": "RepoNotFound"}, b"")
            self.send_response(200 if found else 404)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)
                if "/resolve/" in self.path:
                    hub.downloads.append(unquote(self.path).partition(COMMIT)[2].strip("/"))

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    constants = "huggingface_hub.constants"
    monkeypatch.setattr(f"{constants}.ENDPOINT", endpoint)
    template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(f"{constants}.HF_HUB_CACHE", str(hub.cache))
    monkeypatch.setattr(f"{constants}.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(f"{constants}.HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()
