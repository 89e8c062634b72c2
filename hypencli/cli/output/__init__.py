"""Output of the command: tables, charts, progress, JSON, text for a terminal."""
