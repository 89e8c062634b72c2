"""Losses of a dual encoder, one file each, and their registry.

The modules import torch only where they compute: recipes read the names and options of losses.
"""
