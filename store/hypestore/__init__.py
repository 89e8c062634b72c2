"""The project store of hype."""
