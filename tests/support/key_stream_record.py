"""Which key streams packets were encrypted with, told from the packets themselves: (key, SSRC, index) of each one.

Keys are derived and tags computed by srtp_model.py; the engine is asked nothing but, as a place to begin the search at,
a ROC.
"""

from __future__ import annotations

from collections.abc import Iterable

from srtp_model import Transform, parted, rtp_header_length

from srtp import MasterKey, Policy, Profile

FARTHEST_ROC = 1 << 13
NEAR_ROCS = 128


class KeyStreamRecord:
    """What was sent, by key stream; a second packet under one that was used fails the test."""

    def __init__(self, profile: Profile, keys: Iterable[MasterKey]) -> None:
        self._keys = list(keys)
        self._profile = profile
        self._transforms = [
            tuple(Transform(Policy.with_keys(profile, [key]), rtcp=rtcp) for rtcp in (False, True))
            for key in self._keys
        ]
        self.used: dict[tuple[str, int, int, int], bytes] = {}

    def sent(self, sealed: bytes, plain: bytes, roc: int | None = None) -> tuple[int, int]:
        """Records an SRTP packet of a known plain one; returns the number of its key, and its index. `roc` is where the
        search begins: those just before it come next, for packets of a list that ended in a later cycle."""
        ssrc, sequence = int.from_bytes(plain[8:12]), int.from_bytes(plain[2:4])
        near = range(0) if roc is None else range(roc, max(roc - NEAR_ROCS, -1), -1)
        for candidate in (near, range(FARTHEST_ROC)):
            for one in candidate:
                index = one << 16 | sequence
                for number in range(len(self._keys)):
                    if self._is_sealed(number, sealed, plain, index):
                        return self._record("RTP", number, ssrc, index, plain)
        raise AssertionError("the packet is not authentic under any of the keys")

    def sent_rtcp(self, sealed: bytes, plain: bytes) -> tuple[int, int]:
        """Records an SRTCP packet of a known plain one; returns the number of its key, and its index."""
        for number in range(len(self._keys)):
            index = self._rtcp_index(number, sealed, plain)
            if index is not None:
                return self._record("RTCP", number, int.from_bytes(plain[4:8]), index, plain)
        raise AssertionError("the packet is not authentic under any of the keys")

    def _record(self, kind: str, number: int, ssrc: int, index: int, plain: bytes) -> tuple[int, int]:
        before = self.used.setdefault((kind, number, ssrc, index), plain)
        assert before == plain, f"two {kind} packets of SSRC {ssrc} under index {index} of key {number}"
        return number, index

    def _is_sealed(self, number: int, sealed: bytes, plain: bytes, index: int) -> bool:
        transform = self._transforms[number][0]
        header = rtp_header_length(plain)
        assert header is not None
        roc = (index >> 16).to_bytes(4)
        if self._profile.is_aead:
            # The ciphertext alone would do; with the tag the whole of it is the reference's.
            return sealed.startswith(transform.seal(plain[:header], plain[header:], index, roc))
        tag = transform.tag(sealed[: len(plain)] + roc)
        return sealed.endswith(tag) and sealed[: len(plain)] == transform.seal(
            plain[:header], plain[header:], index, roc
        )

    def _rtcp_index(self, number: int, sealed: bytes, plain: bytes) -> int | None:
        transform = self._transforms[number][1]
        at = len(plain) + (transform.tag_length if self._profile.is_aead else 0)
        word = sealed[at : at + 4]
        index = int.from_bytes(word) & 0x7FFFFFFF
        if self._profile.is_aead:
            found = sealed.startswith(transform.seal(*parted(plain, True), index, word))
        else:
            found = sealed.endswith(transform.tag(sealed[: at + 4]))
            found = found and sealed.startswith(transform.seal(plain[:8], plain[8:], index, word))
        return index if found else None
