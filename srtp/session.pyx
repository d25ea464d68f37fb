# cython: language_level=3
# cython: freethreading_compatible=True
"""Sessions: bytes in, bytes out, over the C core; see session.pyi."""

from operator import index

from cpython.buffer cimport PyBUF_READ, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from srtp.engine cimport *
from srtp.packet_batch cimport PacketBatch

from . import saved_state, saved_values
from .diagnosis import diagnose
from .errors import (
    AuthenticationError,
    BufferTooSmallError,
    ForkError,
    IndexExhaustedError,
    IndexReuseError,
    KeyExpiredError,
    MalformedPacketError,
    NoPolicyError,
    PacketTooLongError,
    PacketTooOldError,
    PolicyError,
    ReplayError,
    StateError,
    TooManyStreamsError,
    UnencryptedPacketError,
    UnexpectedCryptexError,
    UnknownMkiError,
)
from .packet_status import PacketStatus
from .policy import Policy
from .secret import SecretBytes
from .state import (
    Direction,
    DirectionState,
    KeyEvent,
    KeyEventKind,
    PacketCounters,
    ReplayState,
    StreamState,
)

_STATUSES = tuple(PacketStatus)


def available_kernels():
    cdef const srtp_kernels *table = srtp_kernels_available(0)
    names = []
    while table != NULL:
        names.append((<const char *> table.name).decode())
        table = srtp_kernels_available(len(names))
    return tuple(names)


include "locking.pxi"
include "one_packet.pxi"
include "many_packets.pxi"
include "context_values.pxi"


def _ssrc_of(state):
    return state.ssrc


cdef object _whole(value, what):
    """A whole number: Cython's conversions would cut a fraction off."""
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{what} is a whole number, not a {type(value).__name__}") from None


cdef uint32_t _ssrc(value) except? 0:
    number = _whole(value, "an SSRC")
    if not 0 <= number <= 0xffffffff:
        raise ValueError(f"{value} is no SSRC, which has 32 bits")
    return number


cdef uint32_t _roc(value) except? 0:
    number = _whole(value, "a rollover counter")
    if not 0 <= number <= 0xffffffff:
        raise ValueError(f"{value} is no rollover counter, which has 32 bits (RFC 3711 3.3.1)")
    return number


cdef uint64_t _overlap(value) except? 0:
    number = _whole(value, "an overlap")
    if not 0 <= number <= 0xffffffffffffffff:
        raise ValueError(f"{value} packets of overlap cannot be")
    return number


cdef object _place(ssrc):
    """The SSRC of a policy, None of that of any SSRC, as _policies has it."""
    return None if ssrc is None else _ssrc(ssrc)


cdef class Session:
    cdef srtp_direction *_outbound
    cdef srtp_direction *_inbound
    cdef const srtp_kernels *_kernels
    # By direction and SSRC (None for any): the policies as they stand, and during an overlap the key before.
    cdef dict _policies
    cdef dict _previous

    def __cinit__(self, outbound, inbound, *, kernels=None):
        cdef bytes name = None if kernels is None else kernels.encode()
        self._kernels = srtp_kernels_select(NULL if name is None else <const char *> name)
        if self._kernels == NULL or name == b"":
            chosen = "the table that SRTP_KERNELS names" if kernels is None else repr(kernels)
            raise PolicyError(f"{chosen} is none of the kernels of this CPU: {', '.join(available_kernels())}")
        self._policies = {}
        self._previous = {}
        self._outbound = self._direction_of(Direction.OUTBOUND, outbound)
        self._inbound = self._direction_of(Direction.INBOUND, inbound)

    def __dealloc__(self):
        srtp_direction_free(self._outbound)
        srtp_direction_free(self._inbound)

    def __reduce__(self):
        raise TypeError("a Session cannot be pickled or copied: it holds keys and indexes; see export_state()")

    def __repr__(self):
        names = [policy.profile.name if policy is not None else "none"
                 for policy in (self.outbound_policy, self.inbound_policy)]
        return f"<srtp.Session outbound={names[0]} inbound={names[1]}>"

    cdef srtp_direction *_direction_of(self, direction, policy) except? NULL:
        cdef srtp_context *context = NULL
        cdef srtp_direction *made
        if policy is None:
            return NULL
        context = _context(self._kernels, policy, direction is Direction.OUTBOUND)
        made = srtp_direction_new(context)
        if made == NULL:
            srtp_context_free(context)
            raise MemoryError()
        self._policies[direction, None] = policy
        return made

    @property
    def kernels(self):
        return (<const char *> self._kernels.name).decode()

    @property
    def outbound_policy(self):
        return self._policies.get((Direction.OUTBOUND, None))

    @property
    def inbound_policy(self):
        return self._policies.get((Direction.INBOUND, None))

    def policy(self, direction, ssrc=None):
        direction, ssrc = Direction(direction), _place(ssrc)
        return self._policies.get((direction, ssrc)) or self._policies.get((direction, None))

    # One packet.

    def protect(self, packet):
        return _to_bytes(self._outbound, srtp_protect, packet, True, False)

    def unprotect(self, packet):
        return _to_bytes(self._inbound, srtp_unprotect, packet, False, False)

    def protect_rtcp(self, packet):
        return _to_bytes(self._outbound, srtp_protect_rtcp, packet, True, True)

    def unprotect_rtcp(self, packet):
        return _to_bytes(self._inbound, srtp_unprotect_rtcp, packet, False, True)

    def protect_into(self, buffer, Py_ssize_t length):
        return _in_place(self._outbound, srtp_protect, buffer, length, False)

    def unprotect_into(self, buffer, Py_ssize_t length):
        return _in_place(self._inbound, srtp_unprotect, buffer, length, False)

    def protect_rtcp_into(self, buffer, Py_ssize_t length):
        return _in_place(self._outbound, srtp_protect_rtcp, buffer, length, True)

    def unprotect_rtcp_into(self, buffer, Py_ssize_t length):
        return _in_place(self._inbound, srtp_unprotect_rtcp, buffer, length, True)

    # Many packets.

    def protect_batch(self, PacketBatch batch not None, count=None):
        return _run_batch(self._outbound, srtp_protect_batch, batch, count)

    def unprotect_batch(self, PacketBatch batch not None, count=None):
        return _run_batch(self._inbound, srtp_unprotect_batch, batch, count)

    def protect_list(self, packets):
        return _to_list(self._outbound, srtp_protect_batch, packets, True)

    def unprotect_list(self, packets):
        return _to_list(self._inbound, srtp_unprotect_batch, packets, False)

    # Policies and keys.

    cdef srtp_direction *_existing(self, direction) except NULL:
        cdef srtp_direction *found = self._outbound if Direction(direction) is Direction.OUTBOUND else self._inbound
        if found == NULL:
            raise _error(SRTP_NO_POLICY, NULL, 0, False, 0)
        return found

    cdef srtp_direction *_made(self, direction) except NULL:
        cdef srtp_direction *made
        if Direction(direction) is Direction.OUTBOUND:
            if self._outbound == NULL:
                self._outbound = srtp_direction_new(NULL)
            made = self._outbound
        else:
            if self._inbound == NULL:
                self._inbound = srtp_direction_new(NULL)
            made = self._inbound
        if made == NULL:
            raise MemoryError()
        return made

    def add_policy(self, ssrc, direction, policy):
        direction, ssrc = Direction(direction), _ssrc(ssrc)
        cdef srtp_direction *d = self._made(direction)
        cdef bint sends = direction is Direction.OUTBOUND
        _own(d)
        try:
            _add_policy(d, self._kernels, ssrc, policy, sends)
            self._policies[direction, ssrc] = policy
        finally:
            _disown(d)

    def update_policy(self, direction, policy, *, ssrc=None):
        direction, ssrc = Direction(direction), _place(ssrc)
        cdef srtp_direction *d = self._existing(direction)
        _own(d)
        try:
            _update_policy(self, d, direction, policy, ssrc)
        finally:
            _disown(d)

    cdef srtp_context *_context_for(self, srtp_direction *d, direction, ssrc) except NULL:
        """The context of a policy, under the lock."""
        cdef srtp_stream *stream
        if (Direction(direction), ssrc) not in self._policies:
            raise NoPolicyError("there is no such policy", ssrc=ssrc)
        if ssrc is None:
            return d.any
        stream = srtp_stream_find(&d.streams, ssrc)
        return stream.context

    def add_key(self, direction, key, *, ssrc=None):
        direction, ssrc = Direction(direction), _place(ssrc)
        cdef srtp_direction *d = self._existing(direction)
        _own(d)
        try:
            context = self._context_for(d, direction, ssrc)
            before = self._policies[direction, ssrc]
            after = before.replace_keys((*before.master_keys, key))
            _obeying_key(d, context, key, direction is Direction.OUTBOUND)
            self._policies[direction, ssrc] = after
        finally:
            _disown(d)

    def remove_key(self, direction, mki, *, ssrc=None):
        direction, ssrc = Direction(direction), _place(ssrc)
        cdef srtp_direction *d = self._existing(direction)
        cdef srtp_context *context
        cdef srtp_master_key *key
        _own(d)
        try:
            context = self._context_for(d, direction, ssrc)
            key = self._key_of(context, mki)
            if key == context.current:
                if direction is Direction.OUTBOUND:
                    raise PolicyError("the key protects packets, switch to another first")
                if context.keys.next == NULL:
                    raise PolicyError("the key is the only one of its policy")
                srtp_context_switch(context, context.keys.next if context.keys == key else context.keys)
            policy = self._policies[direction, ssrc]
            self._policies[direction, ssrc] = policy.replace_keys([k for k in policy.master_keys if k.mki != mki])
            srtp_context_remove_key(context, key)
        finally:
            _disown(d)

    def switch_key(self, mki, *, ssrc=None):
        cdef srtp_direction *d = self._existing(Direction.OUTBOUND)
        cdef srtp_context *context
        ssrc = _place(ssrc)
        _own(d)
        try:
            context = self._context_for(d, Direction.OUTBOUND, ssrc)
            srtp_context_switch(context, self._key_of(context, mki))
        finally:
            _disown(d)

    cdef srtp_master_key *_key_of(self, srtp_context *context, mki) except NULL:
        cdef bytes wanted = bytes(memoryview(mki))
        cdef srtp_master_key *key = NULL
        if wanted and len(wanted) == <Py_ssize_t> context.parameters.mki_length:
            key = srtp_context_key(context, <const uint8_t *> PyBytes_AS_STRING(wanted))
        if key == NULL:
            raise UnknownMkiError(f"no key of the policy has the MKI {wanted.hex()!r}")
        return key

    def rekey(self, direction, key, *, overlap=0, ssrc=None):
        direction, ssrc = Direction(direction), _place(ssrc)
        cdef uint64_t packets = _overlap(overlap)
        cdef srtp_direction *d = self._existing(direction)
        cdef srtp_context *context
        cdef srtp_master_key *added
        _own(d)
        try:
            context = self._context_for(d, direction, ssrc)
            before = self._policies[direction, ssrc]
            after = before.replace_keys([key])
            if before.mki or key.mki or len(before.master_keys) > 1:
                raise PolicyError("rekey() is for one key without MKI; others are added, switched and removed")
            added = _obeying_key(d, context, key, direction is Direction.OUTBOUND)
            srtp_context_rekey(context, added, 0 if direction is Direction.OUTBOUND else packets)
            self._policies[direction, ssrc] = after
            self._previous.pop((direction, ssrc), None)
            if context.previous != NULL:
                self._previous[direction, ssrc] = before.master_keys[0]
        finally:
            _disown(d)

    # Streams.

    def roc(self, ssrc, direction):
        cdef srtp_direction *d = self._existing(direction)
        cdef srtp_stream *stream
        _own(d)
        try:
            stream = srtp_stream_find(&d.streams, _ssrc(ssrc))
            if stream == NULL:
                return None
            return stream.initial_roc if stream.pinned else stream.rtp.window.top >> 16
        finally:
            _disown(d)

    def rtcp_index(self, ssrc, direction):
        return _rtcp_index(self._existing(direction), _ssrc(ssrc))

    def set_roc(self, ssrc, direction, roc):
        cdef srtp_direction *d = self._existing(direction)
        _own(d)
        try:
            _set_roc(d, _ssrc(ssrc), _roc(roc), d == self._outbound)
        finally:
            _disown(d)

    def remove_stream(self, ssrc, direction):
        direction, ssrc = Direction(direction), _ssrc(ssrc)
        cdef srtp_direction *d = self._existing(direction)
        cdef srtp_stream *stream
        _own(d)
        try:
            stream = srtp_stream_find(&d.streams, ssrc)
            if stream == NULL:
                return False
            if d == self._outbound:
                _remove_sender(d, stream)
            else:
                srtp_stream_remove(&d.streams, ssrc)
            self._policies.pop((direction, ssrc), None)
            self._previous.pop((direction, ssrc), None)
            return True
        finally:
            _disown(d)

    # What the session tells of itself.

    def state(self, direction):
        cdef srtp_direction *d = self._existing(direction)
        cdef srtp_snapshot *taken
        cdef size_t i
        _enter_briefly(d)
        taken = srtp_snapshot_take(d)
        _leave_briefly(&d.lock)
        if taken == NULL:
            raise MemoryError()
        try:
            streams = [_stream_state(taken.streams[i]) for i in range(taken.count)]
            return DirectionState(tuple(sorted(streams, key=_ssrc_of)), _counters(&taken.rtp), _counters(&taken.rtcp))
        finally:
            srtp_snapshot_free(taken)

    def events(self):
        cdef srtp_direction *d
        cdef srtp_context *context
        found = []
        for direction, ssrc in list(self._policies):
            d = self._existing(direction)
            _own(d)
            try:
                if (direction, ssrc) not in self._policies:
                    continue  # another thread has just removed the stream
                context = self._context_for(d, direction, ssrc)
                self._drain(context, direction, ssrc, found)
                if context.previous == NULL:
                    self._previous.pop((direction, ssrc), None)
            finally:
                _disown(d)
        return tuple(found)

    cdef _drain(self, srtp_context *context, direction, ssrc, list found):
        cdef srtp_master_key *key = context.keys
        cdef srtp_lifetime *lifetime
        cdef Py_ssize_t mki_length = context.parameters.mki_length
        while key != NULL:
            mki = (<char *> key.mki)[:mki_length]
            for rtcp in (False, True):
                lifetime = &key.rtcp_lifetime if rtcp else &key.rtp_lifetime
                if lifetime.soft_reached:
                    found.append(KeyEvent(KeyEventKind.SOFT_LIMIT, direction, ssrc, mki, rtcp, lifetime.used))
                if lifetime.limit_reached:
                    found.append(KeyEvent(KeyEventKind.HARD_LIMIT, direction, ssrc, mki, rtcp, lifetime.used))
                lifetime.soft_reached = lifetime.limit_reached = 0
            key = key.next
        if context.overlap_ended:
            context.overlap_ended = 0
            found.append(KeyEvent(KeyEventKind.OVERLAP_ENDED, direction, ssrc, b""))

    def diagnose(self, packet, *, rtcp=False):
        return diagnose(self, bytes(memoryview(packet)), rtcp)

    # Saving and restoring.

    def export_state(self, sealing_key):
        return saved_state.seal(self, sealing_key, _sealed)

    @classmethod
    def import_state(cls, data, sealing_key, *, gap=saved_state.DEFAULT_GAP, kernels=None):
        return saved_state.unseal(cls, data, sealing_key, gap, kernels, _opened)

    def _shorten_rtcp_tags(self):
        _shorten_rtcp_tags(self._existing(Direction.INBOUND))

    def _saved(self, direction):
        return _saved_direction(self, direction)

    def _restore(self, saved, gap):
        _restore_direction(self, saved, gap)


include "changing.pxi"
include "saving.pxi"
include "sealing.pxi"
include "fan_out.pxi"
