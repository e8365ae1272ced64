"""This machine, for every adapter: files put in place in one step or kept when rewritten, processes, accounts."""
