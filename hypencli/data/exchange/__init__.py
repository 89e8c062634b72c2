"""Read and write files of other tools: encoded items, neighbour graphs, archives of studies."""

from hypencli.data.exchange.array_file import read_array, write_array
from hypencli.data.exchange.item import EncodedBlock, EncodedItem, EncodedItems
from hypencli.data.exchange.item_stream import read_item_stream, write_item_stream
from hypencli.data.exchange.source import ENCODED_FORMATS, EncodedFormat, format_of, open_encoded

__all__ = [
    "ENCODED_FORMATS",
    "EncodedBlock",
    "EncodedFormat",
    "EncodedItem",
    "EncodedItems",
    "format_of",
    "open_encoded",
    "read_array",
    "read_item_stream",
    "write_array",
    "write_item_stream",
]
