"""Debian archives: signed indexes, versions, the dependency solver, and fetching."""
