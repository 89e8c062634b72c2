"""The Thrift compact protocol, as far as Parquet uses it.

Source: the Apache Thrift compact protocol specification.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

ThriftValue: TypeAlias = "bool | int | float | bytes | list[ThriftValue] | dict[int, ThriftValue]"


class ThriftReader:
    """A cursor over bytes in the Thrift compact protocol; ``IndexError`` beyond their end."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        """Read one byte."""
        value = self.data[self.at]
        self.at += 1
        return value

    def varint(self) -> int:
        """Read a number of any length, 7 bits a byte, lowest first."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def zigzag(self) -> int:
        """Read a signed number."""
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def take(self, count: int) -> bytes:
        """Read some bytes."""
        if self.at + count > len(self.data):
            raise IndexError("beyond the end")
        piece = bytes(self.data[self.at : self.at + count])
        self.at += count
        return piece

    def struct(self) -> dict[int, ThriftValue]:
        """Field id -> value, up to the stop field."""
        fields: dict[int, ThriftValue] = {}
        field_id = 0
        while (head := self.byte()) != 0:
            field_id = field_id + (head >> 4) if head >> 4 else self.zigzag()
            fields[field_id] = self.value(head & 0x0F)
        return fields

    def value(self, kind: int) -> ThriftValue:
        """Read a value of a type, by its number in the protocol."""
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 7:
            return float(struct.unpack("<d", self.take(8))[0])
        if kind == 8:
            return self.take(self.varint())
        if kind in (9, 10):
            return self.sequence()
        if kind == 12:
            return self.struct()
        raise ValueError(f"there is no type {kind}")

    def sequence(self) -> list[ThriftValue]:
        """Read a list or a set."""
        head = self.byte()
        count = head >> 4 if head >> 4 < 15 else self.varint()
        return [self.value(head & 0x0F) for _ in range(count)]
