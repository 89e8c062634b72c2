"""Encoders and tokenizers of common kinds, read without the library ``transformers``.

Importing that library takes longer than a search of a small store. Token states and token ids are
bit-equal to the library's (``tests/models/checkpoints/native``). What is not exactly of a known
kind is left to the library: a file is never read here in another way than there.
"""
