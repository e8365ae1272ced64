"""The verbs. Each flow call opens at most one transaction and commits it."""
