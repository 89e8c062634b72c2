"""What the command prints: tables, charts, progress, text for a terminal."""
