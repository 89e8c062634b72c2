"""The catalog: a DuckDB index over the store, derived from its manifests."""
