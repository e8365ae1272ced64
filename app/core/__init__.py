"""Settings and logging; imports of the rest of `app` only errors, network rules and languages of the domain."""
