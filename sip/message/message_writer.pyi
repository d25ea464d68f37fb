def write_message(start_line: str, rows: list[tuple[str, str, str]], body: bytes) -> bytes:
    """Returns a message: the start line, the (key, name, value) rows but those of Content-Length, its own, the body.

    Checks nothing. Raises UnicodeEncodeError for lone surrogates.
    """
