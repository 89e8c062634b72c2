"""The `hype` command."""
