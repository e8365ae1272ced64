"""Puts one thing in the place of another, where types would rather not have it."""


def replace(target: object, name: str, value: object) -> None:
    """Let `target.name` be `value` from now on."""
    setattr(target, name, value)
