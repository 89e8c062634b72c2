"""A report as one page of HTML: what it says (``contents``), and how it looks."""
