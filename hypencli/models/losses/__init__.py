"""Losses of a dual encoder, each in its own file, and their registry.

The modules import torch only to compute, because recipes read names and options of losses.
"""
