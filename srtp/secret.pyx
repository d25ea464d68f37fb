# cython: language_level=3
"""Bytes that must not be seen: wiped on free, never shown, never pickled."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef extern from *:
    """
    /* Through a volatile pointer, so that the compiler keeps the stores before free(). */
    static void srtp_forget(unsigned char *data, size_t length) {
        volatile unsigned char *p = data;
        while (length--) *p++ = 0;
    }
    static int srtp_same(const unsigned char *a, const unsigned char *b, size_t length) {
        unsigned char difference = 0;
        for (size_t i = 0; i < length; i++) difference |= a[i] ^ b[i];
        return difference == 0;
    }
    """
    void srtp_forget(unsigned char *data, size_t length) nogil
    int srtp_same(const unsigned char *a, const unsigned char *b, size_t length) nogil


cdef class SecretBytes:
    """An immutable copy of `data` (any bytes-like object); see secret.pyi."""

    cdef unsigned char *_data
    cdef Py_ssize_t _length

    def __cinit__(self, data):
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self._data = <unsigned char *> malloc(view.len if view.len else 1)
            if self._data == NULL:
                raise MemoryError()
            memcpy(self._data, view.buf, view.len)
            self._length = view.len
        finally:
            PyBuffer_Release(&view)

    def __dealloc__(self):
        if self._data != NULL:
            srtp_forget(self._data, self._length)
            free(self._data)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self._data, self._length, 1, flags)

    def __bytes__(self):
        return self._data[:self._length]

    def __len__(self):
        return self._length

    def __eq__(self, other):
        cdef SecretBytes that
        if not isinstance(other, SecretBytes):
            return NotImplemented
        that = other
        return self._length == that._length and bool(srtp_same(self._data, that._data, self._length))

    def __hash__(self):
        raise TypeError("SecretBytes is not hashable: a hash would tell of the secret")

    def __repr__(self):
        return f"<SecretBytes, {self._length} bytes>"

    def __reduce__(self):
        raise TypeError("SecretBytes cannot be pickled or copied")
