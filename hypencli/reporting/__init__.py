"""A report as one HTML page: its content (``contents``), and its appearance."""
