"""Work in progress: drafts of artifacts, locks, staging, progress."""
