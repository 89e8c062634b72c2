"""Neighbour graphs: exact k nearest neighbours, and the libraries that approximate them."""
