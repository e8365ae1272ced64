"""Files on this machine, for every adapter: put in place in one step, rewritten with a copy kept, whose they are."""
