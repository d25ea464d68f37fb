def scan_head(
    head: bytes, max_rows: int, max_row_bytes: int
) -> tuple[tuple[str, str] | str, list[tuple[str, str, str]], int | None, bool] | None:
    """Returns what a header part says: start line, rows, Content-Length, and whether all is well.

    The start line is (method, Request-URI) where it is that of a request for a SIP URI, else its text. The rows are
    (key, name, value). The length is -1 when there is none, and None when it has to be looked at. The last
    element promises what parser.py would find: every mandatory header field once, no unique one twice, the CSeq's
    method that of the request, every value of a typed header field well formed; False says that it has to look.

    None when the header part is not plain: folded lines, bytes beyond ASCII, control characters, malformed names, or
    more than the limits allow.
    """
