"""Verbs of search: search, query, engines, calibrate, fuse."""
