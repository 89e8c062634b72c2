"""The registry of engines: their options and needs. It imports no torch."""
