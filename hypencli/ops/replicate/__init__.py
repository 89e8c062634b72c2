"""Replication of a published table: plan, estimate, execution, comparison with the paper."""
