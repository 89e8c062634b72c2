"""What a disk can hold after a power loss, from a recording of a command at work on a store.

``recorder.c`` tells of every fsync and of every change of a name. After each, the recording looks
at all files below the store. A file that was not synced may have lost what was written since, or
a part of it. A name that was made, changed or removed is sure once its folder is synced; until
then, the folder may be as it was at any moment since.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_SETTLED_SECONDS = 0.05
"""A file that was written to longer ago than this was read with all that was written."""

_COPIED_BYTES = 2**16
"""Smaller files are copied into a state, since a command may append to them; others are linked."""

Names = Mapping[str, int]
"""Name in a folder -> number of the file or folder."""


@dataclass(slots=True)
class Node:
    """A file or a folder, over time.

    Attributes:
        is_folder: Whether it is a folder.
        history: Moments and what it held from then on: names, or the SHA-256 of the content.
        synced: Moments at which it was synced.
    """

    is_folder: bool
    history: list[tuple[int, object]] = field(default_factory=list)
    synced: list[int] = field(default_factory=list)

    def at(self, moment: int) -> object | None:
        """Return what it held at a moment; None if it was not there yet."""
        held = [content for since, content in self.history if since <= moment]
        return held[-1] if held else None

    def last_sync(self, moment: int) -> int | None:
        """Return the last moment up to this one at which it was synced."""
        return max((each for each in self.synced if each <= moment), default=None)

    def since(self, moment: int, sync: int | None) -> list[object]:
        """Return all that it held from its last sync on, oldest first."""
        first = -1 if sync is None else sync
        durable = [] if sync is None else [self.at(sync)]
        return [*durable, *(held for since, held in self.history if first < since <= moment)]


class Recording:
    """The files below a folder at every moment of a command.

    Args:
        root: The folder.
        blobs: Where contents are kept, by their SHA-256.
    """

    def __init__(self, root: Path, blobs: Path) -> None:
        self.root, self.blobs = root, blobs
        self.nodes: list[Node] = []
        self.syncs: list[int] = []
        self.moment = -1
        self._numbers: dict[int, int] = {}
        self._read: dict[int, tuple[tuple[int, int], float, str]] = {}
        self.look("start", 0)
        for node in self.nodes:  # what was there before is on the disk
            node.synced.append(0)

    def look(self, kind: str, inode: int) -> None:
        """Record what is there now, after a call of a kind: ``sync`` of an inode, or ``names``."""
        self.moment += 1
        seen: dict[int, int] = {}
        self._visit(self.root, seen, synced=inode if kind == "sync" else None)
        self._numbers = seen
        if kind == "sync" and inode in seen:
            self.nodes[seen[inode]].synced.append(self.moment)
            self.syncs.append(self.moment)

    def _visit(self, path: Path, seen: dict[int, int], *, synced: int | None) -> int | None:
        try:
            about = path.lstat()
            is_folder = path.is_dir()
            own = self._number(about.st_ino, seen, is_folder=is_folder)
            if is_folder:
                held: object = {
                    inside.name: number
                    for inside in sorted(path.iterdir())
                    if (number := self._visit(inside, seen, synced=synced)) is not None
                }
            else:
                held = self._content(path, about, again=about.st_ino == synced)
        except FileNotFoundError:  # removed at this moment
            return None
        node = self.nodes[own]
        if not node.history or node.history[-1][1] != held:
            node.history.append((self.moment, held))
        return own

    def _number(self, inode: int, seen: dict[int, int], *, is_folder: bool) -> int:
        number = self._numbers.get(inode)
        if number is None or self.nodes[number].is_folder != is_folder:
            number = len(self.nodes)
            self.nodes.append(Node(is_folder))
            self._read.pop(inode, None)
        seen[inode] = number
        return number

    def _content(self, path: Path, about: os.stat_result, *, again: bool) -> str:
        state = about.st_size, about.st_mtime_ns
        known = self._read.get(about.st_ino)
        if known is not None and known[0] == state and not again and known[1] > _SETTLED_SECONDS:
            return known[2]
        age = time.time() - about.st_mtime
        digest = keep(path.read_bytes(), self.blobs)
        self._read[about.st_ino] = state, age, digest
        return digest


class Loss(Protocol):
    """What is lost of what is not synced."""

    def names(self, held: Sequence[Names]) -> Names:
        """Choose the names of a folder among those since its last sync, oldest first."""
        ...

    def content(self, durable: bytes | None, latest: bytes) -> bytes:
        """Choose the content of a file, given the synced one and the latest."""
        ...


class AllLost:
    """Everything that was not synced is gone."""

    def names(self, held: Sequence[Names]) -> Names:
        return held[0]

    def content(self, durable: bytes | None, latest: bytes) -> bytes:
        return b"" if durable is None else durable


class DataLost:
    """The names are all there, and the data that were not synced are not."""

    def names(self, held: Sequence[Names]) -> Names:
        return held[-1]

    def content(self, durable: bytes | None, latest: bytes) -> bytes:
        return b"" if durable is None else durable


class DataTorn:
    """The names are all there; of the data that were not synced, the second half is zeros."""

    def names(self, held: Sequence[Names]) -> Names:
        return held[-1]

    def content(self, durable: bytes | None, latest: bytes) -> bytes:
        half = len(latest) // 2
        return latest[:half] + bytes(len(latest) - half)


class OnlyRemovals:
    """Of what was not synced, what removes a name is on the disk, and nothing else."""

    def names(self, held: Sequence[Names]) -> Names:
        return {name: one for name, one in held[0].items() if held[-1].get(name) == one}

    def content(self, durable: bytes | None, latest: bytes) -> bytes:
        return b"" if durable is None else durable


class DrawnLoss:
    """Each folder is as at a drawn moment since its sync, each file whole, old, torn or empty."""

    def __init__(self, generator: random.Random) -> None:
        self._generator = generator

    def names(self, held: Sequence[Names]) -> Names:
        return self._generator.choice(held)

    def content(self, durable: bytes | None, latest: bytes) -> bytes:
        cut = self._generator.randint(0, len(latest))
        return self._generator.choice(
            [latest, durable or b"", latest[:cut], latest[:cut] + bytes(len(latest) - cut), b""]
        )


class DiskState:
    """What the disk holds after a power loss right after a moment.

    Args:
        recording: The recording.
        moment: The moment.
        loss: What is lost.
        synced: Whether what was synced at this very moment is on the disk; otherwise the power
            was lost during the sync.

    Attributes:
        contents: Path below the root -> SHA-256 of the content; None for a folder.
    """

    def __init__(
        self, recording: Recording, moment: int, loss: Loss, *, synced: bool = True
    ) -> None:
        self._recording, self._moment, self._loss = recording, moment, loss
        self._last_sync = moment if synced else moment - 1
        self.contents: dict[str, str | None] = {}
        self._add_folder(0, "")

    def write(self, place: Path) -> None:
        """Write the files into a new folder."""
        place.mkdir()
        for name, digest in self.contents.items():  # a folder comes before what is in it
            path = place / name
            if digest is None:
                path.mkdir()
                continue
            blob = self._recording.blobs / digest
            copied = blob.stat().st_size < _COPIED_BYTES or path.suffix in (".duckdb", ".wal")
            (shutil.copyfile if copied else os.link)(blob, path)

    def _add_folder(self, number: int, place: str) -> None:
        node = self._recording.nodes[number]
        sync = node.last_sync(self._last_sync)
        held = node.since(self._moment, sync)
        # A folder that was never synced was empty at first.
        possible = [{}, *held] if sync is None else held
        names = self._loss.names([each for each in possible if isinstance(each, dict)])
        for name, inside in names.items():
            path = f"{place}{name}"
            if self._recording.nodes[inside].is_folder:
                self.contents[path] = None
                self._add_folder(inside, f"{path}/")
            else:
                self.contents[path] = self._content(inside)

    def _content(self, number: int) -> str:
        node, blobs = self._recording.nodes[number], self._recording.blobs
        sync = node.last_sync(self._last_sync)
        latest, durable = node.at(self._moment), None if sync is None else node.at(sync)
        if latest == durable:
            return str(latest)
        old = None if durable is None else (blobs / str(durable)).read_bytes()
        return keep(self._loss.content(old, (blobs / str(latest)).read_bytes()), blobs)


def keep(data: bytes, blobs: Path) -> str:
    """Keep a content, and return its SHA-256."""
    digest = hashlib.sha256(data).hexdigest()
    if not (blobs / digest).exists():
        (blobs / digest).write_bytes(data)
    return digest


class Recorder:
    """Answers the recorder in the commands, and keeps the recording of the current one.

    Args:
        folder: Where the socket and the contents of files go.
    """

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "recorder"
        self._blobs = folder / "blobs"
        self._blobs.mkdir()
        self._current: Recording | None = None
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(self.socket))
        self._listening.listen(64)
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()
        self._failed: BaseException | None = None

    def start(self, root: Path) -> Recording:
        """Record what commands do below a folder from now on."""
        self._current = Recording(root, self._blobs)
        return self._current

    def stop(self) -> None:
        """End the recording.

        Raises:
            RuntimeError: The files could not be looked at.
        """
        self._current = None
        if self._failed is not None:
            raise RuntimeError("the recording failed") from self._failed

    def close(self) -> None:
        """Stop answering."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _answer(self) -> None:
        for end in self._calls():
            with end, end.makefile("r", encoding="utf-8") as lines:
                kind, inode = lines.readline().split()
                try:
                    if self._current is not None:
                        self._current.look(kind, int(inode))
                except OSError as error:
                    self._failed = error
                end.sendall(b".")

    def _calls(self) -> Iterator[socket.socket]:
        while True:
            try:
                end, _ = self._listening.accept()
            except OSError:  # closed
                return
            yield end
