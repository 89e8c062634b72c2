"""The verbs of ``hype``, one file a verb."""
