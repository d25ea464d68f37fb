# cython: language_level=3, boundscheck=False, wraparound=False
"""Splits the header part of a SIP message into rows, and recognises header values in their plain forms.

What it recognises is a part of what the grammar allows: it never decides that a message is malformed, and what it
does not recognise is left to parser.py. Nothing is read outside [position, end).
"""

from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memcmp

from .headers import COMPACT_FORMS

# Classes of bytes.
cdef enum:
    TOKEN = 1
    HOST = 2
    USER = 4
    URI_PARAMETER = 8
    DIGIT = 16
    ALPHANUMERIC = 32
    PARAMETER_VALUE = 64
    HEX_OR_COLON = 128

# What is known of a header field by its name.
cdef enum:
    OTHER = 0
    VIA = 1
    FROM = 2
    TO = 3
    CALL_ID = 4
    CSEQ = 5
    MAX_FORWARDS = 6
    CONTENT_TYPE = 7
    CONTENT_LENGTH = 8
    EXPIRES = 9
    DATE = 10
    ADDRESSES = 11

cdef enum:
    MANDATORY = 1 << VIA | 1 << FROM | 1 << TO | 1 << CALL_ID | 1 << CSEQ
    REPEATABLE = 1 << OTHER | 1 << VIA | 1 << ADDRESSES | 1 << CONTENT_LENGTH
    MAX_PARAMETERS = 16
    MAX_URI = 4096

cdef unsigned char CLASSES[256]

cdef dict KINDS = {
    "via": VIA, "from": FROM, "to": TO, "call-id": CALL_ID, "cseq": CSEQ, "max-forwards": MAX_FORWARDS,
    "content-type": CONTENT_TYPE, "content-length": CONTENT_LENGTH, "expires": EXPIRES, "date": DATE,
    "contact": ADDRESSES, "route": ADDRESSES, "record-route": ADDRESSES,
}

# Names as they are mostly spelled; others go the long way.
cdef struct Name:
    const char *text
    Py_ssize_t length
    int kind

cdef enum:
    MAX_NAMES = 64

cdef Name NAMES[MAX_NAMES]
cdef int name_count = 0
# The same, as (key, name) for the rows, and what keeps the bytes alive.
cdef list NAME_OBJECTS = []
cdef list NAME_BYTES = []


cdef void fill_classes() noexcept:
    cdef int c
    for c in range(256):
        CLASSES[c] = 0
    for c in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789":
        CLASSES[c] = TOKEN | HOST | USER | URI_PARAMETER | ALPHANUMERIC | PARAMETER_VALUE
    for c in b"-.!%*_+`'~":
        CLASSES[c] |= TOKEN | PARAMETER_VALUE
    for c in b"[]:/":
        CLASSES[c] |= PARAMETER_VALUE
    for c in b"-._":
        CLASSES[c] |= HOST
    for c in b"-_.!~*'()&=+$,;?/":
        CLASSES[c] |= USER
    for c in b"-_.!~*'()[]/:&+$":
        CLASSES[c] |= URI_PARAMETER
    for c in b"0123456789":
        CLASSES[c] |= DIGIT
    for c in b"0123456789abcdefABCDEF:.":
        CLASSES[c] |= HEX_OR_COLON


cdef inline const unsigned char *skip(
    const unsigned char *position, const unsigned char *end, unsigned char wanted
) noexcept nogil:
    while position < end and CLASSES[position[0]] & wanted:
        position += 1
    return position


# Each of these returns where what it recognises ends, or NULL.

cdef const unsigned char *host_port(const unsigned char *position, const unsigned char *end) noexcept nogil:
    cdef const unsigned char *start = position
    cdef int port = 0
    if position < end and position[0] == b"[":
        position = skip(start + 1, end, HEX_OR_COLON)
        if position >= end or position[0] != b"]" or not 2 <= position - start - 1 <= 45:
            return NULL
        position += 1
    else:
        if position >= end or not CLASSES[position[0]] & ALPHANUMERIC:
            return NULL
        position = skip(position, end, HOST)
        if position - start > 255 or not (CLASSES[(position - 1)[0]] & ALPHANUMERIC or (position - 1)[0] == b"."):
            return NULL
    if position < end and position[0] == b":":
        start = position + 1
        position = skip(start, end, DIGIT)
        if not 1 <= position - start <= 5:
            return NULL
        while start < position:
            port = 10 * port + start[0] - 48
            start += 1
        if port > 65535:
            return NULL
    return position


cdef const unsigned char *quoted(const unsigned char *position, const unsigned char *end) noexcept nogil:
    # Without quoted pairs; control characters have been looked for already.
    position += 1
    while position < end and position[0] != b'"' and position[0] != b"\\":
        position += 1
    return position + 1 if position < end and position[0] == b'"' else NULL


cdef bint same_name(
    const unsigned char *one, Py_ssize_t one_length, const unsigned char *other, Py_ssize_t other_length
) noexcept nogil:
    # Folds more than letters together, which only sends a value the long way.
    cdef Py_ssize_t i
    if one_length != other_length:
        return False
    for i in range(one_length):
        if one[i] | 32 != other[i] | 32:
            return False
    return True


cdef const unsigned char *parameters(const unsigned char *position, const unsigned char *end) noexcept nogil:
    cdef const unsigned char *names[MAX_PARAMETERS]
    cdef Py_ssize_t lengths[MAX_PARAMETERS]
    cdef const unsigned char *start
    cdef int count = 0
    cdef int i
    while position < end and position[0] == b";":
        start = position + 1
        position = skip(start, end, TOKEN)
        if position == start or count == MAX_PARAMETERS:
            return NULL
        names[count] = start
        lengths[count] = position - start
        for i in range(count):
            if same_name(names[i], lengths[i], start, position - start):
                return NULL
        count += 1
        if position < end and position[0] == b"=":
            start = position + 1
            if start < end and start[0] == b'"':
                position = quoted(start, end)
                if position == NULL:
                    return NULL
            else:
                position = skip(start, end, PARAMETER_VALUE)
                if position == start:
                    return NULL
    return position


cdef const unsigned char *uri_parameters(const unsigned char *position, const unsigned char *end) noexcept nogil:
    cdef const unsigned char *names[MAX_PARAMETERS]
    cdef Py_ssize_t lengths[MAX_PARAMETERS]
    cdef int count = 0
    cdef int i
    while position < end and position[0] == b";":
        if count == MAX_PARAMETERS:
            return NULL
        names[count] = position + 1
        position = skip(position + 1, end, URI_PARAMETER)
        lengths[count] = position - names[count]
        if lengths[count] == 0:
            return NULL
        for i in range(count):
            if same_name(names[i], lengths[i], names[count], lengths[count]):
                return NULL
        count += 1
        if position < end and position[0] == b"=":
            position += 1
            if position >= end or not CLASSES[position[0]] & URI_PARAMETER:
                return NULL
            position = skip(position, end, URI_PARAMETER)
    return position


cdef const unsigned char *sip_uri(const unsigned char *position, const unsigned char *end) noexcept nogil:
    cdef const unsigned char *start = position
    cdef const unsigned char *user
    if end - position < 5 or memcmp(position, b"sip", 3) != 0:
        return NULL
    position += 3
    if position[0] == b"s":
        position += 1
    if position[0] != b":":
        return NULL
    user = position + 1
    position = skip(user, end, USER)
    if position < end and position[0] == b"@":
        if position == user:
            return NULL
        position += 1
    else:
        position = user
    position = host_port(position, end)
    if position != NULL:
        position = uri_parameters(position, end)
    return position if position != NULL and position - start <= MAX_URI else NULL


# Behind the comma that follows a value, and the blanks behind that; NULL where no other value follows.
cdef inline const unsigned char *next_value(const unsigned char *position, const unsigned char *end) noexcept nogil:
    if position == NULL or position >= end or position[0] != b",":
        return NULL
    position += 1
    while position < end and position[0] == b" ":
        position += 1
    return position


# Each of these says whether a whole value is in plain form.

cdef bint plain_vias(const unsigned char *position, const unsigned char *end) noexcept nogil:
    cdef const unsigned char *after = NULL
    while position != NULL:
        after = plain_via(position, end)
        if after == end:
            return True
        position = next_value(after, end)
    return False


cdef const unsigned char *plain_via(const unsigned char *position, const unsigned char *end) noexcept nogil:
    cdef const unsigned char *start
    if end - position < 10 or memcmp(position, b"SIP/2.0/", 8) != 0:
        return NULL
    start = position + 8
    position = skip(start, end, TOKEN)
    if position == start or position >= end or position[0] != b" ":
        return NULL
    position = host_port(position + 1, end)
    return parameters(position, end) if position != NULL else NULL


cdef bint plain_addresses(const unsigned char *position, const unsigned char *end) noexcept nogil:
    cdef const unsigned char *after = NULL
    while position != NULL:
        after = plain_address(position, end)
        if after == end:
            return True
        position = next_value(after, end)
    return False


cdef const unsigned char *plain_address(const unsigned char *position, const unsigned char *end) noexcept nogil:
    cdef const unsigned char *start
    if position < end and position[0] == b'"':
        position = quoted(position, end)
        if position == NULL:
            return NULL
        if position < end and position[0] == b" ":
            position += 1
    else:
        while True:
            start = position
            position = skip(position, end, TOKEN)
            if position == start or position >= end or position[0] != b" ":
                break
            position += 1
    if position >= end or position[0] != b"<":
        return NULL
    position = sip_uri(position + 1, end)
    if position == NULL or position >= end or position[0] != b">":
        return NULL
    return parameters(position + 1, end)


# Nine digits fit into a long.
cdef bint plain_number(const unsigned char *position, const unsigned char *end, int digits) noexcept nogil:
    return 1 <= end - position <= digits and skip(position, end, DIGIT) == end


cdef bint plain_cseq(
    const unsigned char *position, const unsigned char *end, const unsigned char *method, Py_ssize_t method_length
) noexcept nogil:
    cdef const unsigned char *start = position
    position = skip(position, end, DIGIT)
    if not 1 <= position - start <= 9 or position >= end or position[0] != b" ":
        return False
    start = position + 1
    if start == end or skip(start, end, TOKEN) != end:
        return False
    return method == NULL or (end - start == method_length and memcmp(start, method, method_length) == 0)


cdef bint plain_media_type(const unsigned char *position, const unsigned char *end) noexcept nogil:
    cdef const unsigned char *start = position
    position = skip(position, end, TOKEN)
    if position == start or position >= end or position[0] != b"/":
        return False
    start = position + 1
    position = skip(start, end, TOKEN)
    return position != start and (position == end or position[0] == b";")


cdef bint plain_value(
    int kind, const unsigned char *position, const unsigned char *end, const unsigned char *method, Py_ssize_t length
) noexcept nogil:
    if kind == VIA:
        return plain_vias(position, end)
    if kind == ADDRESSES:
        return plain_addresses(position, end)
    if kind in (FROM, TO):
        return plain_address(position, end) == end
    if kind == CSEQ:
        return plain_cseq(position, end, method, length)
    if kind == MAX_FORWARDS:
        return plain_number(position, end, 2)
    if kind in (EXPIRES, CONTENT_LENGTH):
        return plain_number(position, end, 9)
    if kind == CONTENT_TYPE:
        return plain_media_type(position, end)
    return kind != CALL_ID or position < end


cdef tuple request_line(const unsigned char *start, const unsigned char *end):
    """(method, Request-URI) of a plain request line, or None."""
    cdef const unsigned char *blank = skip(start, end, TOKEN)
    cdef const unsigned char *position
    if blank == start or blank >= end or blank[0] != b" ":
        return None
    position = sip_uri(blank + 1, end)
    if position == NULL or end - position != 8 or memcmp(position, b" SIP/2.0", 8) != 0:
        return None
    method = PyUnicode_DecodeASCII(<const char *>start, blank - start, NULL)
    return method, PyUnicode_DecodeASCII(<const char *>blank + 1, position - blank - 1, NULL)


cdef long number(const unsigned char *position, const unsigned char *end) noexcept nogil:
    """The value of a plain number."""
    cdef long value = 0
    while position < end:
        value = 10 * value + position[0] - 48
        position += 1
    return value


cdef tuple known_name(str name):
    """(key, kind) of a header field."""
    key = name.lower()
    key = COMPACT_FORMS[key].lower() if key in COMPACT_FORMS else key
    return key, KINDS.get(key, OTHER)


cdef const unsigned char *end_of_line(const unsigned char *position, const unsigned char *end) noexcept nogil:
    """Where the line's CR is, or `end`; NULL when the line is not plain."""
    while position < end:
        if position[0] < 32:
            if position[0] == 13:
                return position if end - position >= 2 and position[1] == 10 else NULL
            if position[0] != 9:
                return NULL
        elif position[0] >= 127:
            return NULL
        position += 1
    return end


cdef int find_name(const unsigned char *start, Py_ssize_t length) noexcept nogil:
    """The index of a name in NAMES, or -1."""
    cdef int i
    for i in range(name_count):
        if NAMES[i].length == length and memcmp(NAMES[i].text, start, length) == 0:
            return i
    return -1


def scan_head(bytes head, Py_ssize_t max_rows, Py_ssize_t max_row_bytes):
    """See head_scanner.pyi."""
    cdef const unsigned char *position = head
    cdef const unsigned char *end = position + len(head)
    cdef const unsigned char *start = position
    cdef const unsigned char *method = NULL
    cdef const unsigned char *colon
    cdef const unsigned char *line_end
    cdef Py_ssize_t method_length = 0
    cdef int kind
    cdef int seen = 0
    cdef bint plain
    cdef bint valid = True
    cdef list rows = []
    cdef int index
    cdef object start_line
    cdef object length = -1
    line_end = end_of_line(position, end)
    if line_end == NULL:
        return None
    start_line = None
    if line_end - start < 4 or memcmp(start, b"SIP/", 4) != 0:
        method, method_length = start, skip(start, line_end, TOKEN) - start
        start_line = request_line(start, line_end)
    if start_line is None:
        start_line = PyUnicode_DecodeASCII(<const char *>start, line_end - start, NULL)
    while line_end < end:
        position = line_end + 2
        line_end = end_of_line(position, end)
        if line_end == NULL or len(rows) == max_rows or line_end - position > max_row_bytes:
            return None
        colon = skip(position, line_end, TOKEN)
        if colon == position:
            return None
        index = find_name(position, colon - position)
        if index >= 0:
            key, name = <tuple>NAME_OBJECTS[index]
            kind = NAMES[index].kind
        else:
            name = PyUnicode_DecodeASCII(<const char *>position, colon - position, NULL)
            key, kind = known_name(name)
        while colon < line_end and colon[0] in (32, 9):
            colon += 1
        if colon >= line_end or colon[0] != b":":
            return None
        start = colon + 1
        position = line_end
        while start < position and start[0] in (32, 9):
            start += 1
        while start < position and (position - 1)[0] in (32, 9):
            position -= 1
        rows.append((key, name, PyUnicode_DecodeASCII(<const char *>start, position - start, NULL)))
        plain = plain_value(kind, start, position, method, method_length)
        if kind == CONTENT_LENGTH:
            length = number(start, position) if plain and not seen >> kind & 1 else None
        elif not plain or (seen >> kind & 1 and not REPEATABLE >> kind & 1):
            valid = False
        seen |= 1 << kind
    return start_line, rows, length, valid and seen & MANDATORY == MANDATORY


cdef void add_name(str name):
    global name_count
    key, kind = known_name(name)
    text = name.encode()
    NAME_BYTES.append(text)
    NAME_OBJECTS.append((key, name))
    NAMES[name_count].text = text
    NAMES[name_count].length = len(text)
    NAMES[name_count].kind = kind
    name_count += 1


fill_classes()
for _name in (
    "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards", "Content-Type", "Content-Length", "Route",
    "Record-Route", "Expires", "Date", "Allow", "Supported", "Require", "User-Agent", "Server", "Authorization",
    "Proxy-Authorization", "v", "f", "t", "i", "c", "l", "m",
):
    add_name(_name)
