"""The verbs. A flow opens each transaction and commits it; nobody else does."""
