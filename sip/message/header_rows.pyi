def first_value(rows: list[tuple[str, str, str]], key: str) -> str | None:
    """Returns the value of the first (key, name, value) row with this key, None without any."""

def all_values(rows: list[tuple[str, str, str]], key: str) -> list[str]:
    """Returns the values of all rows with this key, in order."""

def has_any(rows: list[tuple[str, str, str]], keys: frozenset[str]) -> bool:
    """Returns whether there is a row with one of these keys."""
