"""Messages from bytes: one datagram, or the pieces of a stream's message (RFC 3261 7, 18.3)."""

from __future__ import annotations

from dataclasses import dataclass

from srtp.field_checks import check_fields

from ..errors import SipParseError
from .grammar import has_control, is_token, parse_number
from .headers import Headers
from .message import Message, Request, Response
from .uri import OtherUri, SipUri, parse_uri

try:
    from .head_scanner import scan_head
except ImportError:
    # Without the compiled extension every header part goes the long way.
    def scan_head(
        head: bytes, max_rows: int, max_row_bytes: int
    ) -> tuple[tuple[str, str] | str, list[tuple[str, str, str]], int | None, bool] | None:
        return None


_UNIQUE = ("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type", "Content-Length", "Expires", "Date")
_MANDATORY = ("Via", "From", "To", "Call-ID", "CSeq")


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before it costs memory: bytes of the header part and of the body, rows, bytes of a row."""

    header_bytes: int = 65535
    body_bytes: int = 65535
    rows: int = 256
    row_bytes: int = 16384

    def __post_init__(self) -> None:
        check_fields(self)


DEFAULT_LIMITS = Limits()


def parse_message(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Message:
    """Returns the message in one datagram; bytes behind its Content-Length are dropped (18.3).

    Raises SipParseError for anything else. Its `request` holds what could be read when the fault is that of a
    request which can be answered, and its `status` the answer.
    """
    head, separator, rest = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not separator:
        raise SipParseError("no empty line ends the header fields")
    message = parse_head(head, limits=limits)
    length = content_length(message)
    if length is not None and length > len(rest):
        raise _fault("the body is shorter than it says", message, header="Content-Length")
    message.body = bytes(rest if length is None else rest[:length])
    if len(message.body) > limits.body_bytes:
        raise _fault(f"a body of more than {limits.body_bytes} bytes", message, status=413)
    return message


def parse_head(head: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Message:
    """Returns the message of a start line and header fields, its body empty; raises SipParseError."""
    if len(head) > limits.header_bytes:
        raise SipParseError(f"more than {limits.header_bytes} bytes of header fields", status=513)
    scanned = scan_head(head, limits.rows, limits.row_bytes)
    if scanned is None:
        return _parse_unusual_head(head, limits)
    start_line, rows, length, valid = scanned
    known = {} if length is None else {"content-length": None if length < 0 else length}
    headers = Headers.of_checked(rows, known, len(head))
    message = _build(start_line, headers) if isinstance(start_line, str) else Request.of_checked(*start_line, headers)
    if not valid:
        _check(message)
    if isinstance(start_line, str):
        _check_request_uri(message)
    return message


def _parse_unusual_head(head: bytes, limits: Limits) -> Message:
    """The header parts that scan_head() leaves to us."""
    try:
        text = head.decode()
    except UnicodeDecodeError:
        # Header values are UTF-8, but a stray Latin-1 byte must not make a call impossible to refuse.
        text = head.decode("latin-1")
        start_line, rows, problem = _rows(text, limits)
        raise _fault("the header fields are not UTF-8", _build(start_line, rows)) from None
    start_line, rows, problem = _rows(text, limits)
    message = _build(start_line, rows)
    if problem is not None:
        raise _fault(problem.reason, message, header=problem.header, status=problem.status)
    _check(message)
    _check_request_uri(message)
    return message


def content_length(message: Message) -> int | None:
    """Returns the Content-Length, None when there is none; raises SipParseError when it is no number."""
    try:
        return message.headers.typed("Content-Length", _content_length)
    except SipParseError as error:
        raise _fault(error.reason, message, header="Content-Length") from None


def _content_length(rows: list[str]) -> int | None:
    if len(set(rows)) > 1:
        raise SipParseError("two different values")
    return parse_number(rows[0], (1 << 32) - 1, "Content-Length") if rows else None


def _rows(text: str, limits: Limits) -> tuple[str, Headers, SipParseError | None]:
    """The start line, the rows that are well formed, and the first problem met on the way."""
    lines = text.split("\r\n")
    unfolded: list[str] = []
    problem: SipParseError | None = None
    for line in lines[1:]:
        if line[:1] in (" ", "\t") and unfolded:
            unfolded[-1] += " " + line.strip(" \t")
        else:
            unfolded.append(line)
        if len(unfolded) > limits.rows:
            raise SipParseError(f"more than {limits.rows} header fields", status=513)
        if len(unfolded[-1]) > limits.row_bytes:
            raise SipParseError(f"a header field of more than {limits.row_bytes} bytes", status=513)
    headers = Headers()
    for line in unfolded:
        name, colon, value = line.partition(":")
        try:
            # HCOLON: only SP and HTAB may stand before the colon.
            if not colon:
                raise SipParseError("a header field without a colon")
            headers.add(name.rstrip(" \t"), value)
        except SipParseError as error:
            problem = problem or error
    return lines[0], headers, problem


def _build(start_line: str, headers: Headers) -> Message:
    if start_line[:4].upper() == "SIP/":
        return _build_response(start_line, headers)
    parts = start_line.split(" ")
    method = parts[0]
    if len(parts) < 3 or not is_token(method) or not parts[-1].upper().startswith("SIP/"):
        # Trailing or doubled white space still lets us see who to answer.
        words = start_line.split()
        if len(words) >= 3 and is_token(words[0]) and any(word.startswith("SIP/2.0") for word in words):
            shell = Request(words[0], OtherUri("malformed", "malformed:"), headers)
            raise _fault("the request line is malformed", shell)
        raise SipParseError("the start line is neither a request's nor a response's")
    shell = Request(method, OtherUri("malformed", "malformed:"), headers)
    if parts[-1].upper() != "SIP/2.0":
        raise _fault(f"the version {parts[-1][:20]} is not SIP/2.0", shell, status=505)
    if len(parts) != 3:
        raise _fault("white space in the Request-URI", shell)
    try:
        uri = parse_uri(parts[1])
    except SipParseError as error:
        raise _fault(f"the Request-URI: {error.reason}", shell, status=error.status) from None
    return Request(method, uri, headers)


def _build_response(start_line: str, headers: Headers) -> Response:
    version, _, rest = start_line.partition(" ")
    status, _, reason = rest.partition(" ")
    if version.upper() != "SIP/2.0" or len(status) != 3 or not status.isascii() or not status.isdigit():
        raise SipParseError("the status line is malformed")
    if has_control(reason):
        raise SipParseError("the reason phrase holds control characters")
    return Response(int(status), reason, headers)


def _check(message: Message) -> None:
    """The checks that every message must pass, whoever receives it; raises SipParseError."""
    for name in _MANDATORY:
        if not message.headers.get(name):
            raise _fault("missing or empty", message, header=name)
    for name in _UNIQUE:
        if message.headers.count(name) > 1 and name != "Content-Length":
            raise _fault("stands more than once", message, header=name)
    try:
        cseq = message.cseq
        _ = message.vias, message.from_, message.to, message.contacts, message.max_forwards, message.expires
        _ = message.routes, message.record_routes, message.content_type
    except SipParseError as error:
        raise _fault(error.reason, message, header=error.header) from None
    if isinstance(message, Request) and cseq.method != message.method:
        raise _fault(f"the method is {cseq.method}, not {message.method}", message, header="CSeq")


def _check_request_uri(message: Message) -> None:
    if isinstance(message, Request) and isinstance(message.uri, SipUri) and message.uri.headers:
        raise _fault("the Request-URI holds header fields", message)


def _fault(reason: str, message: Message, *, header: str | None = None, status: int = 400) -> SipParseError:
    """The error for a fault of `message`, which may be answered when it is a request with a Via to answer to."""
    request = message if isinstance(message, Request) and message.method != "ACK" else None
    if request is not None:
        try:
            answerable = bool(request.vias)
        except SipParseError:
            answerable = False
        request = request if answerable else None
    return SipParseError(reason, status=status, header=header, request=request)
