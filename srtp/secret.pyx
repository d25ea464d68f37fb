# cython: language_level=3
"""Bytes that must not be seen: wiped on free, never shown, never pickled."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from .errors import ForkError


cdef extern from *:
    """
    #include "core/process.h"
    #include "core/secret_memory.h"
    #include "kernels/kernels.h"
    """
    void *srtp_secret_new(size_t size) nogil
    void srtp_secret_free(void *memory, size_t size) nogil
    int srtp_equal(const unsigned char *a, const unsigned char *b, size_t length) nogil
    uint32_t srtp_process_enter() nogil
    bint srtp_process_is(uint32_t number) nogil


cdef class SecretBytes:
    """An immutable copy of `data` (any bytes-like object); see secret.pyi."""

    cdef unsigned char *_data
    cdef Py_ssize_t _length
    cdef uint32_t _process

    def __cinit__(self, data):
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self._process = srtp_process_enter()
            self._data = <unsigned char *> srtp_secret_new(view.len)
            if self._data == NULL:
                raise MemoryError()
            memcpy(self._data, view.buf, view.len)
            self._length = view.len
        finally:
            PyBuffer_Release(&view)

    def __dealloc__(self):
        srtp_secret_free(self._data, self._length)

    cdef int _check(self) except -1:
        if not srtp_process_is(self._process):
            raise ForkError("the secret was made in another process, and is not inherited by a fork; make it here")
        return 0

    def __getbuffer__(self, Py_buffer *view, int flags):
        self._check()
        PyBuffer_FillInfo(view, self, self._data, self._length, 1, flags)

    def __bytes__(self):
        self._check()
        return self._data[:self._length]

    def __len__(self):
        return self._length

    def __eq__(self, other):
        cdef SecretBytes that
        if not isinstance(other, SecretBytes):
            return NotImplemented
        that = other
        self._check()
        that._check()
        return self._length == that._length and bool(srtp_equal(self._data, that._data, self._length))

    def __hash__(self):
        raise TypeError("SecretBytes is not hashable: a hash would tell of the secret")

    def __repr__(self):
        return f"<SecretBytes, {self._length} bytes>"

    def __reduce__(self):
        raise TypeError("SecretBytes cannot be pickled or copied")
