# What is sealed, and opened again, with secrets in it: by the kernels, and in memory that is wiped, so that no copy of
# a key stays behind.

cdef extern from "core/secret_memory.h" nogil:
    void *srtp_secret_new(size_t size)
    void srtp_secret_free(void *memory, size_t size)

cdef extern from "kernels/kernels.h" nogil:
    enum:
        SRTP_GCM_NONCE
        SRTP_GCM_TAG

    ctypedef struct srtp_gcm_key:
        pass

    ctypedef struct srtp_gcm_kernels "srtp_kernels":
        void (*gcm_expand)(srtp_gcm_key *key, const uint8_t *key_bytes, size_t key_length)
        void (*gcm_seal)(
            const srtp_gcm_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_length, const uint8_t *text,
            uint8_t *out, size_t length, uint8_t *tag
        )
        int (*gcm_open)(
            const srtp_gcm_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_length, const uint8_t *text,
            uint8_t *out, size_t length, const uint8_t *tag
        )

_SEALING_KEY_LENGTH = 32


cdef srtp_gcm_key *_sealing_key(const srtp_gcm_kernels *kernels, const unsigned char[::1] key) except NULL:
    cdef srtp_gcm_key *expanded
    if kernels == NULL:
        raise PolicyError("SRTP_KERNELS names none of the kernels of this CPU")
    if len(key) != _SEALING_KEY_LENGTH:
        raise StateError(f"the sealing key has {len(key)} bytes, {_SEALING_KEY_LENGTH} are needed")
    expanded = <srtp_gcm_key *> srtp_secret_new(sizeof(srtp_gcm_key))
    if expanded == NULL:
        raise MemoryError()
    kernels.gcm_expand(expanded, &key[0], _SEALING_KEY_LENGTH)
    return expanded


def _sealed(key, bytes header not None, parts):
    """`header`, whose end is the nonce, and after it the parts in one piece, sealed by AES-256-GCM with their tag."""
    cdef const srtp_gcm_kernels *kernels = <const srtp_gcm_kernels *> srtp_kernels_select(NULL)
    cdef list pieces = [memoryview(part) for part in parts]
    cdef Py_ssize_t length = sum([len(piece) for piece in pieces]), at = 0, before = len(header)
    cdef const uint8_t *start = <const uint8_t *> PyBytes_AS_STRING(header)
    cdef const unsigned char[::1] piece
    cdef srtp_gcm_key *expanded = _sealing_key(kernels, memoryview(key))
    cdef uint8_t *plain = <uint8_t *> srtp_secret_new(length)
    cdef bytes out
    cdef uint8_t *end
    try:
        if plain == NULL:
            raise MemoryError()
        for piece in pieces:
            if len(piece):
                memcpy(plain + at, &piece[0], len(piece))
            at += len(piece)
        out = PyBytes_FromStringAndSize(NULL, before + length + SRTP_GCM_TAG)
        end = <uint8_t *> PyBytes_AS_STRING(out)
        memcpy(end, start, before)
        kernels.gcm_seal(
            expanded, start + before - SRTP_GCM_NONCE, start, before, plain, end + before, length, end + before + length
        )
        return out
    finally:
        srtp_secret_free(plain, length)
        srtp_secret_free(expanded, sizeof(srtp_gcm_key))


def _opened(key, bytes sealed not None, Py_ssize_t before):
    """What lies sealed behind a header of `before` bytes, as SecretBytes; None if it is not authentic."""
    cdef const srtp_gcm_kernels *kernels = <const srtp_gcm_kernels *> srtp_kernels_select(NULL)
    cdef Py_ssize_t length = len(sealed) - before - SRTP_GCM_TAG
    cdef const uint8_t *start = <const uint8_t *> PyBytes_AS_STRING(sealed)
    cdef srtp_gcm_key *expanded = _sealing_key(kernels, memoryview(key))
    cdef uint8_t *plain = NULL
    try:
        if length < 0:
            return None
        plain = <uint8_t *> srtp_secret_new(length)
        if plain == NULL:
            raise MemoryError()
        if not kernels.gcm_open(
            expanded, start + before - SRTP_GCM_NONCE, start, before, start + before, plain, length,
            start + before + length
        ):
            return None
        return SecretBytes(PyMemoryView_FromMemory(<char *> plain, length, PyBUF_READ))
    finally:
        srtp_secret_free(plain, length)
        srtp_secret_free(expanded, sizeof(srtp_gcm_key))
