"""Archives of studies: what is read, and everything that is refused before it is unpacked."""

from __future__ import annotations

import stat
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hypencli.data.exchange import study_archive
from hypencli.data.exchange.study_archive import open_study_archive, write_study_archive
from hypencli.errors import DataError

Pack = Callable[..., Path]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """A ZIP file of entries ``(name or ZipInfo, content)``, with one that is as it should be."""

    def packed(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about names that are there twice
            archive.writestr("study.json", b"{}")
            for name, content in entries:
                archive.writestr(name, content)
        return path

    return packed


def info(name: str, mode: int = 0, **changes: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    for key, value in changes.items():
        setattr(entry, key, value)
    return entry


def test_files_come_back_as_they_were_written(tmp_path: Path) -> None:
    source = tmp_path / "some.parquet"
    source.write_bytes(bytes(range(256)) * 9_000)
    for path in (tmp_path / "a.zip", tmp_path / "b.zip"):
        with write_study_archive(path) as archive:
            archive.write_text("study.json", "grüße\n")
            archive.write_file("runs/r-0/some.parquet", source)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with open_study_archive(tmp_path / "a.zip") as actual:
        assert actual.sizes == {"study.json": 8, "runs/r-0/some.parquet": 2_304_000}
        assert actual.read("study.json").decode() == "grüße\n"
        actual.extract("runs/r-0/some.parquet", tmp_path / "out" / "deep" / "x")
    assert (tmp_path / "out" / "deep" / "x").read_bytes() == source.read_bytes()


def test_folders_are_passed_over(pack: Pack) -> None:
    with open_study_archive(pack(("runs/", b""), ("runs/r/", b""), ("runs/r/f", b"x"))) as actual:
        assert set(actual.sizes) == {"study.json", "runs/r/f"}


NAMES = [
    *("/etc/passwd", "../x", "runs/../../x", "runs/..", "runs/./x", "./x", "runs//x"),
    *("C:/x", "C:x", "runs\\x", "..\\x", ".hidden", "runs/.x", "a b", "x\n", "ä", "~/x", "x:y"),
    *("", "a/b/c/d/e/f/g/h/i", "x" * 300, "runs/x\0.parquet", "\u202egnp.x"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_could_lead_elsewhere_are_refused(pack: Pack, name: str) -> None:
    entry = info("placeholder")
    entry.filename = entry.orig_filename = name
    path = pack((entry, b"x"))
    with (
        pytest.raises(DataError, match=r"x\.zip: the entry .* has a name that no file"),
        open_study_archive(path),
    ):
        pass


ODD: dict[str, tuple[zipfile.ZipInfo, bytes, str]] = {
    "link": (info("runs/x", stat.S_IFLNK | 0o777), b"/etc/passwd", "is a link"),
    "device": (info("runs/x", stat.S_IFCHR | 0o666), b"", "another special file"),
    "pipe": (info("runs/x", stat.S_IFIFO | 0o666), b"", "another special file"),
    "folder by its mode": (info("runs/x", stat.S_IFDIR | 0o755), b"", "another special file"),
    "link as a folder": (info("runs/x/", stat.S_IFLNK | 0o777), b"", "is a link"),
    "bzip2": (info("x", compress_type=zipfile.ZIP_BZIP2), b"x", "another method"),
    "lzma": (info("x", compress_type=zipfile.ZIP_LZMA), b"x", "another method"),
    "twice": (info("study.json"), b"x", "is there twice"),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_no_plain_file_is_refused(pack: Pack, case: str) -> None:
    entry, content, problem = ODD[case]
    path = pack((entry, content))
    with pytest.raises(DataError, match=problem), open_study_archive(path):
        pass


def test_an_encrypted_entry_is_refused(pack: Pack) -> None:
    path = pack(("x", b"content"))
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02")
    content[place + 8] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="is encrypted"), open_study_archive(path):
        pass


def test_limits_are_those_of_what_is_announced(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(("a", bytes(600)), ("b", bytes(600)))
    with open_study_archive(path, max_bytes=1_202) as actual:
        assert sum(actual.sizes.values()) == 1_202
    with (
        pytest.raises(DataError, match="unpacks to 1,202 bytes, 1,201 at most") as caught,
        open_study_archive(path, max_bytes=1_201),
    ):
        pass
    assert "`max_gigabytes=N`" in str(caught.value.hint)
    monkeypatch.setattr(study_archive, "MAX_TEXT_BYTES", 599)
    with open_study_archive(path) as actual, pytest.raises(DataError, match="600 bytes, 599 at"):
        actual.read("a")
    monkeypatch.setattr(study_archive, "MAX_ENTRIES", 2)
    with pytest.raises(DataError, match="3 entries, 2 at most"), open_study_archive(path):
        pass


def announce(path: Path, name: bytes, size: int) -> None:
    """Change the size that an entry is said to have, in the list of entries and at the entry."""
    content = bytearray(path.read_bytes())
    central = content.index(name, content.index(b"PK\x01\x02"))
    struct.pack_into("<I", content, central - 46 + 24, size)
    struct.pack_into("<I", content, content.index(name) - 30 + 22, size)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("size", [0, 10, 2**20 - 1, 2**20 + 1, 2**24])
def test_an_entry_that_unpacks_to_another_size_is_refused(
    pack: Pack, tmp_path: Path, size: int
) -> None:
    path = pack(("bomb", bytes(2**20)))
    announce(path, b"bomb", size)
    with open_study_archive(path) as actual, pytest.raises(DataError, match="bomb: "):
        actual.extract("bomb", tmp_path / "out")
    assert (tmp_path / "out").stat().st_size <= size


def test_a_bomb_takes_no_memory_and_no_disk(pack: Pack, tmp_path: Path) -> None:
    path = pack(("bomb", bytes(2**27)))
    announce(path, b"bomb", 2**20)
    tracemalloc.start()
    with open_study_archive(path) as actual, pytest.raises(DataError, match="bomb: "):
        actual.extract("bomb", tmp_path / "out")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 * 2**20
    assert (tmp_path / "out").stat().st_size <= 2**20


def test_damaged_files_are_data_errors(pack: Pack, tmp_path: Path) -> None:
    path = pack(("text", b"some content that is here " * 50))
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[:-10], b"no zip at all" * 99):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not a ZIP file"), open_study_archive(path):
            pass
    place = whole.index(b"text") + 10
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
    with open_study_archive(path) as actual, pytest.raises(DataError, match="text: damaged"):
        actual.read("text")
    with pytest.raises(DataError, match="cannot be read"), open_study_archive(tmp_path / "none"):
        pass


def test_a_name_that_is_not_utf_8_is_a_data_error(pack: Pack) -> None:
    """In the list at the end of the file, and at the beginning of the entry alone."""
    path = pack(("text", b"some content"))
    whole = path.read_bytes()
    listed = bytearray(whole)
    listed[whole.rindex(b"PK\x01\x02") + 9] |= 0x08  # the name says that it is UTF-8
    before = bytes(listed)
    listed[whole.rindex(b"text")] = 0xFF
    path.write_bytes(listed)
    with pytest.raises(DataError, match="not a ZIP file"), open_study_archive(path):
        pass
    own = bytearray(before)
    own[whole.index(b"text")] = 0xFF
    path.write_bytes(own)
    with open_study_archive(path) as actual, pytest.raises(DataError, match="text: damaged"):
        actual.read("text")


def test_a_list_that_begins_before_the_file_is_a_data_error(pack: Pack) -> None:
    path = pack()
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, len(content) - 10, len(content) + 9)
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a ZIP file"), open_study_archive(path):
        pass


def test_an_error_of_who_reads_it_stays_what_it_is(pack: Pack) -> None:
    """A full disk while files are unpacked is no fault of the archive."""
    path = pack()
    with pytest.raises(OSError, match="No space"), open_study_archive(path):
        raise OSError(28, "No space left on device")


def test_a_file_that_is_not_in_it(pack: Pack) -> None:
    with open_study_archive(pack()) as actual, pytest.raises(DataError, match=r"no other\.json"):
        actual.read("other.json")
