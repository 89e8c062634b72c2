"""Read and write the fields of a protobuf message, with checks of every length.

Format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from hypencli.errors import DataError

Value: TypeAlias = int | memoryview
"""A number, or the bytes of a text, an array or a nested message."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: Number of the field in its message.
        value: The value.
        record: Name of the record that holds the message, for messages of errors.
        place: Byte of the record at which the value begins.
    """

    number: int
    value: Value
    record: str
    place: int

    @property
    def where(self) -> str:
        """The place of the value, for error messages."""
        return _where(self.record, self.place)

    def bytes(self) -> memoryview:
        """The value of a field that holds bytes.

        Raises:
            DataError: The field holds a number.
        """
        if isinstance(self.value, int):
            raise DataError(f"{self.where}: field {self.number} is a number, expected bytes.")
        return self.value

    def text(self) -> str:
        """The value of a field that holds a text.

        Raises:
            DataError: The field holds a number, or bytes that are not UTF-8.
        """
        try:
            return str(self.bytes(), "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.where}: field {self.number} is not UTF-8: {error}.") from error

    def fields(self) -> Iterator[Field]:
        """The fields of the nested message."""
        return fields(self.bytes(), self.record, self.place)


def fields(message: memoryview, record: str, start: int = 0) -> Iterator[Field]:
    """The fields of a message in order, including unknown ones.

    Args:
        message: The bytes of the message; they are not copied.
        record: Name of the record for error messages.
        start: Byte of the record at which the message begins.

    Raises:
        DataError: A field is truncated, or of an unknown kind.
    """
    place = 0
    while place < len(message):
        where = _where(record, start + place)
        key, place = varint(message, place, where)
        value, end = _value(message, key & 7, place, where)
        began = end - len(value) if isinstance(value, memoryview) else place
        yield Field(key >> 3, value, record, start + began)
        place = end


def _where(record: str, place: int) -> str:
    return f"{record}, byte {place} of its content"


def varint(message: memoryview, place: int, where: str) -> tuple[int, int]:
    """Read a number of variable length at ``place``; return it and the place behind it.

    Raises:
        DataError: The number is truncated, or longer than 64 bits.
    """
    value = 0
    for i, byte in enumerate(message[place : place + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, place + i + 1
    raise DataError(f"{where}: a number that does not end.")


def _value(message: memoryview, kind: int, place: int, where: str) -> tuple[Value, int]:
    if kind == _VARINT:
        return varint(message, place, where)
    if kind == _BYTES:
        size, place = varint(message, place, where)
    elif kind in (_FIXED32, _FIXED64):
        size = 4 if kind == _FIXED32 else 8
    else:
        raise DataError(f"{where}: a field of the unknown kind {kind}.")
    if size > len(message) - place:
        raise DataError(
            f"{where}: a field of {size:,} bytes where {len(message) - place:,} are left."
        )
    return message[place : place + size], place + size


def encode_varint(value: int) -> bytes:
    """Encode a number with variable length."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_field(number: int, value: bytes) -> bytes:
    """Encode a field that holds bytes."""
    return encode_varint(number << 3 | _BYTES) + encode_varint(len(value)) + value
