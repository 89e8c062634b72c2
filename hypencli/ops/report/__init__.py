"""The HTML report: its contents, from store and catalog."""
