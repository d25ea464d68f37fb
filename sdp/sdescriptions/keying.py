"""The keying method of security descriptions (RFC 4568): offers, answers and re-offers of `a=crypto` lines."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

from srtp import SecretBytes
from srtp.field_checks import check_fields

from ..description.session_description import Line
from ..errors import CryptoAttributeError, NegotiationError
from ..keying.method import (
    PLAIN_PROTOCOLS,
    SECURE_PROTOCOLS,
    Examined,
    KeyingAnswer,
    KeyingLines,
    KeyingResult,
    KeyingState,
    LocalSection,
    RemoteSection,
)
from .crypto_attribute import CryptoAttribute, crypto_subject
from .inline_key import InlineKey
from .policy import policy_of
from .selection import check_answer, select
from .session_parameters import FLAGS, SessionParameters
from .suites import CRYPTO_SUITES, check_suites

NAME = "sdescriptions"
# The longer key first, AEAD before counter mode of the same length, and behind them what RFC 4568 makes mandatory: a
# peer passes over a line whose suite it does not know (5.1.2). Tags of 32 bits are for peers with nothing else.
DEFAULT_SUITES = (
    "AEAD_AES_256_GCM",
    "AES_256_CM_HMAC_SHA1_80",
    "AEAD_AES_128_GCM",
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
)
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SdescriptionsResult(KeyingResult):
    """What was agreed, and the lines of both sides it was agreed with; a re-offer builds on them."""

    ours: CryptoAttribute
    theirs: CryptoAttribute


@dataclass(frozen=True, slots=True)
class Sdescriptions:
    """Security descriptions with these settings.

    `crypto_suites` stand in order of preference, for our offers and for what we take. Each of our lines has
    `keys_per_line` keys; more than one need an `mki_length` in bytes (NegotiationError when an offer or answer is
    made without). `lifetime`, in packets, is stated as `|2^31` and the like, as some peers insist on one.
    `key_derivation_rate` in packets (0, or a power of two from 2 to 2^24) and `window_hint` (from 64 on) are our
    declarations. `flags` are the negotiated parameters that our offers ask for (UNENCRYPTED_SRTP,
    UNENCRYPTED_SRTCP, UNAUTHENTICATED_SRTP), `allowed_flags` those that we take when the peer asks for them:
    they weaken what SRTP gives, and none is taken by default.
    """

    crypto_suites: tuple[str, ...] = DEFAULT_SUITES
    mki_length: int = 0
    keys_per_line: int = 1
    lifetime: int | None = None
    key_derivation_rate: int = 0
    window_hint: int | None = None
    flags: frozenset[str] = _NONE
    allowed_flags: frozenset[str] = _NONE
    name: str = field(default=NAME, init=False)

    def __post_init__(self) -> None:
        check_fields(self)
        check_suites(self.crypto_suites)
        unknown = (self.flags | self.allowed_flags) - FLAGS
        if unknown:
            words = ", ".join(sorted(FLAGS))
            raise ValueError(f"there is no session parameter {min(unknown)[:40]!r}, it must be one of {words}")

    def protocol(self, *, feedback: bool) -> str:
        return "RTP/SAVPF" if feedback else "RTP/SAVP"

    def takes(self, protocol: str) -> bool:
        return protocol in SECURE_PROTOCOLS + PLAIN_PROTOCOLS

    def subjects(self, remote: RemoteSection) -> tuple[str, ...]:
        return tuple(crypto_subject(value) for value in remote.section.attributes("crypto"))

    def create_offer(self, local: LocalSection) -> SdescriptionsOffer:
        """Returns one line for each suite, each with keys of its own (6.1).

        The line of the suite in force keeps its keys unless fresh ones are due.
        """
        previous = _own_line(local.previous)
        lines = []
        for tag, suite in enumerate(self.crypto_suites, start=1):
            if previous is not None and not local.fresh and previous.crypto_suite == suite:
                lines.append(replace(previous, tag=tag))
            else:
                lines.append(self._fresh_line(tag, suite, self.flags, previous))
        return SdescriptionsOffer(self, tuple(lines), _keys_of(local.previous))

    def receive_offer(self, remote: RemoteSection) -> Examined:
        """Takes the acceptable line whose suite stands first in `crypto_suites`."""
        own_keys = _keys_of(remote.previous)
        chosen, refusals = select(remote, self.crypto_suites, self.allowed_flags, own_keys)
        return Examined(None if chosen is None else SdescriptionsProposal(self, chosen), refusals)

    def answer_line(self, theirs: CryptoAttribute, local: LocalSection) -> CryptoAttribute:
        """Returns our line for an answer that takes `theirs`: same tag, suite and negotiated parameters.

        The keys in force stay when neither side's are changed: the peer that changes its own may have moved its
        media to who knows nothing of our ROC (7.1.4).
        """
        flags = theirs.check_valid()[1].flags
        previous = local.previous
        if not local.fresh and isinstance(previous, SdescriptionsResult):
            same = previous.theirs.keys == theirs.keys and previous.ours.crypto_suite == theirs.crypto_suite
            if same and previous.ours.check_valid()[1].flags == flags:
                return replace(previous.ours, tag=theirs.tag)
        return self._fresh_line(theirs.tag, theirs.crypto_suite, flags, _own_line(previous))

    def result(self, ours: CryptoAttribute, theirs: CryptoAttribute) -> SdescriptionsResult:
        """Returns what two lines come to; raises NegotiationError when they cannot be honoured."""
        lifetimes = [line.lifetime for line in (ours, theirs) if line.lifetime is not None]
        try:
            return SdescriptionsResult(
                method=self.name,
                state=KeyingState.KEYED,
                outbound=policy_of(ours, self.allowed_flags | self.flags),
                inbound=policy_of(
                    theirs,
                    self.allowed_flags | self.flags,
                    fec_elsewhere=bool(theirs.check_valid()[1].fec_key),  # checked before against its section
                ),
                crypto_suite=theirs.crypto_suite,
                lifetime=min(lifetimes, default=None),
                ours=ours,
                theirs=theirs,
            )
        except CryptoAttributeError as error:
            raise NegotiationError(f"the keys cannot be used: {error}") from None

    def _fresh_line(
        self, tag: int, suite: str, flags: frozenset[str], previous: CryptoAttribute | None
    ) -> CryptoAttribute:
        known = CRYPTO_SUITES.get(suite)
        if known is None or known.profile is None:
            raise NegotiationError(f"the crypto suite {suite} is not supported")
        if self.keys_per_line > 1 and not self.mki_length:
            raise NegotiationError("several keys in a line need an MKI each, and mki_length is 0")
        keys = tuple(
            InlineKey(SecretBytes(secrets.token_bytes(known.key_params_length)), self.lifetime, mki)
            for mki in self._fresh_mkis(previous)
        )
        parameters = SessionParameters(
            flags=flags, key_derivation_rate=self.key_derivation_rate, window_hint=self.window_hint
        )
        return CryptoAttribute(tag, suite, keys, parameters.serialize())

    def _fresh_mkis(self, previous: CryptoAttribute | None) -> list[bytes]:
        """MKIs that the line in force does not have, so that packets under old and new keys can be told apart."""
        if not self.mki_length:
            return [b""] * self.keys_per_line
        used = [int.from_bytes(key.mki) for key in previous.keys] if previous else []
        space = (1 << 8 * self.mki_length) - 1  # 0 is no MKI: 6.1 wants a positive number
        start = max(used, default=0)
        return [((start + step) % space + 1).to_bytes(self.mki_length) for step in range(self.keys_per_line)]


@dataclass(frozen=True, slots=True)
class SdescriptionsOffer:
    """The lines that were offered for one section."""

    method: Sdescriptions
    offered: tuple[CryptoAttribute, ...]
    own_keys: tuple[InlineKey, ...] = ()

    @property
    def lines(self) -> KeyingLines:
        return _lines(self.offered)

    def receive_answer(self, remote: RemoteSection) -> KeyingResult | None:
        allowed = self.method.allowed_flags | self.method.flags
        taken = check_answer(self.offered, remote, allowed, self.own_keys)
        return None if taken is None else self.method.result(*taken)


@dataclass(frozen=True, slots=True)
class SdescriptionsProposal:
    """The offered line that an answer would take."""

    method: Sdescriptions
    theirs: CryptoAttribute

    @property
    def taken(self) -> tuple[str, ...]:
        return (self.theirs.subject,)

    def create_answer(self, local: LocalSection) -> KeyingAnswer:
        ours = self.method.answer_line(self.theirs, local)
        return KeyingAnswer(_lines((ours,)), self.method.result(ours, self.theirs))


def _lines(attributes: tuple[CryptoAttribute, ...]) -> KeyingLines:
    return KeyingLines(tuple(Line("a", f"crypto:{attribute.serialize()}") for attribute in attributes))


def _own_line(previous: KeyingResult | None) -> CryptoAttribute | None:
    return previous.ours if isinstance(previous, SdescriptionsResult) else None


def _keys_of(previous: KeyingResult | None) -> tuple[InlineKey, ...]:
    line = _own_line(previous)
    return line.keys if line else ()
