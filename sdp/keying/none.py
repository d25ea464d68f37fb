"""The keying method of plain RTP: no attribute, no keys."""

from __future__ import annotations

from dataclasses import dataclass

from .method import (
    PLAIN_PROTOCOLS,
    Examined,
    KeyingAnswer,
    KeyingLines,
    KeyingResult,
    KeyingState,
    LocalSection,
    RemoteSection,
)

_NO_LINES = KeyingLines()
_PLAIN = KeyingResult(method="none", state=KeyingState.PLAIN)


@dataclass(frozen=True, slots=True)
class _PlainProposal:
    taken: tuple[str, ...] = ()

    def create_answer(self, local: LocalSection) -> KeyingAnswer:
        return KeyingAnswer(_NO_LINES, _PLAIN)


@dataclass(frozen=True, slots=True)
class _PlainOffer:
    lines: KeyingLines = _NO_LINES

    def receive_answer(self, remote: RemoteSection) -> KeyingResult | None:
        return _PLAIN if remote.section.protocol in PLAIN_PROTOCOLS else None


@dataclass(frozen=True, slots=True)
class NoKeying:
    """Plain RTP, under RTP/AVP and RTP/AVPF only.

    The negotiation asks it last, and only where the policy allows media in clear; an answer is plain only when no
    other method that was offered finds its attributes in it.
    """

    name: str = "none"

    def protocol(self, *, feedback: bool) -> str:
        return "RTP/AVPF" if feedback else "RTP/AVP"

    def takes(self, protocol: str) -> bool:
        return protocol in PLAIN_PROTOCOLS

    def subjects(self, remote: RemoteSection) -> tuple[str, ...]:
        return ()

    def create_offer(self, local: LocalSection) -> _PlainOffer:
        return _PlainOffer()

    def receive_offer(self, remote: RemoteSection) -> Examined:
        return Examined(_PlainProposal() if self.takes(remote.section.protocol) else None)
