"""Hypencoder models: encoders, hypernetwork, q-nets, losses and the published checkpoint format."""
