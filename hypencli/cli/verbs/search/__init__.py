"""Verbs of search: queries against a corpus, calibrations, fusion."""
