# Who may touch a direction. Its lock is taken only with the GIL, where there is one, and nobody waits for it with the
# GIL, for which its holder may be waiting. So a thread that has the GIL and sees the lock free need not take it before
# code that keeps the GIL and runs no Python: that is how single packets pass. A batch takes it, and lets the GIL go.

cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define SRTP_BRIEFLY_ENTERED(lock) srtp_lock_try(lock)
    #define SRTP_BRIEFLY_LEFT(lock) srtp_lock_release(lock)
    #else
    #define SRTP_BRIEFLY_ENTERED(lock) (!srtp_lock_held(lock))
    #define SRTP_BRIEFLY_LEFT(lock) ((void)(lock))
    #endif
    """
    bint _entered_briefly "SRTP_BRIEFLY_ENTERED"(srtp_lock *lock) nogil
    void _leave_briefly "SRTP_BRIEFLY_LEFT"(srtp_lock *lock) nogil


cdef int _foreign() except -1:
    raise ForkError(
        "the session was made in another process, which may use the same indexes; make one here, or import an exported "
        "state, which goes on behind a gap"
    )


cdef inline int _here(const srtp_direction *direction) except -1:
    """Before anything is read, also the lock: in a child of fork() its holder may be a thread that is not there."""
    if not srtp_process_is(direction.process):
        _foreign()
    return 0


cdef int _wait(srtp_direction *direction) except -1:
    """Until nobody holds the lock. A signal handler or finalizer would wait for ever for what it has interrupted."""
    if direction.lock.owner == PyThread_get_thread_ident():
        raise RuntimeError("this thread is in the middle of a call that changes the session; no other can begin")
    with nogil:
        srtp_lock_wait(&direction.lock)
    return 0


cdef inline int _enter_briefly(srtp_direction *direction) except -1:
    """Before C code alone, with the GIL kept; then _leave_briefly()."""
    _here(direction)
    while not _entered_briefly(&direction.lock):
        _wait(direction)
    return 0


cdef inline int _enter(srtp_direction *direction) except -1:
    """Before C code without the GIL; then srtp_lock_release()."""
    _here(direction)
    while not srtp_lock_try(&direction.lock):
        _wait(direction)
    return 0


cdef int _own(srtp_direction *direction) except -1:
    """Before a change in which Python code runs; then _disown()."""
    _enter(direction)
    direction.lock.owner = PyThread_get_thread_ident()
    return 0


cdef void _disown(srtp_direction *direction) noexcept:
    direction.lock.owner = 0
    srtp_lock_release(&direction.lock)
