# cython: language_level=3
"""Finds the values of header fields among their rows."""


def first_value(list rows not None, str key not None):
    """See header_rows.pyi."""
    cdef tuple row
    for row in rows:
        if <str>row[0] == key:
            return row[2]
    return None


def all_values(list rows not None, str key not None):
    """See header_rows.pyi."""
    cdef list values = []
    cdef tuple row
    for row in rows:
        if <str>row[0] == key:
            values.append(row[2])
    return values


def has_any(list rows not None, frozenset keys not None):
    """See header_rows.pyi."""
    cdef tuple row
    for row in rows:
        if row[0] in keys:
            return True
    return False
