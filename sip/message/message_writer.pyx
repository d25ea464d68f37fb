# cython: language_level=3
"""Writes the text of a SIP message in one go."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy


cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL


cdef inline char *put(char *to, const char *data, Py_ssize_t size) noexcept nogil:
    memcpy(to, data, size)
    return to + size


cdef inline char *put_text(char *to, str text) except NULL:
    cdef Py_ssize_t size
    cdef const char *data = PyUnicode_AsUTF8AndSize(text, &size)
    return put(to, data, size)


cdef inline Py_ssize_t size_of(str text) except -1:
    cdef Py_ssize_t size
    PyUnicode_AsUTF8AndSize(text, &size)
    return size


def write_message(str start_line not None, list rows not None, bytes body not None):
    """See message_writer.pyi."""
    # Tuples of strings do not change between measuring and writing, and this holds the GIL throughout.
    cdef bytes end = b"Content-Length: %d\r\n\r\n" % len(body)
    cdef Py_ssize_t size = size_of(start_line) + 2 + len(end) + len(body)
    cdef tuple row
    cdef str key, name, value
    for row in rows:
        key, name, value = row
        if key != "content-length":
            size += size_of(name) + 2 + size_of(value) + 2
    cdef bytes message = PyBytes_FromStringAndSize(NULL, size)
    cdef char *to = put_text(PyBytes_AS_STRING(message), start_line)
    to = put(to, b"\r\n", 2)
    for row in rows:
        key, name, value = row
        if key != "content-length":
            to = put_text(to, name)
            to = put(to, b": ", 2)
            to = put_text(to, value)
            to = put(to, b"\r\n", 2)
    to = put(to, PyBytes_AS_STRING(end), len(end))
    put(to, PyBytes_AS_STRING(body), len(body))
    return message
