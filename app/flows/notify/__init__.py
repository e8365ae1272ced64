"""Telling: claiming what is due, sending it in its slot, recording what became of it."""
