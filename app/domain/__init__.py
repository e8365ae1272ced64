"""Values and rules: no I/O, clock, logging or randomness."""
