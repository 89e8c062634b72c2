"""The HTML report: its contents gathered from store and catalog."""
