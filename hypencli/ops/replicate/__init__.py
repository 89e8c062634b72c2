"""Replication of a table: planned as steps, estimated, executed, set beside the paper."""
