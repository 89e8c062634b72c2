"""Verbs of comparison: measures, leaderboards, paired tests, costs, replications."""
