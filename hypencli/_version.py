"""The package's version; the top of CHANGELOG.md says the same (a test holds them together)."""

__version__ = "0.7.0"
