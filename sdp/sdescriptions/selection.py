"""Which `a=crypto` line is taken, and the rules an answer's line must keep (RFC 4568 5.1, 6.1, 7.1)."""

from __future__ import annotations

import binascii
import hashlib
import re
from collections import Counter

from srtp import SecretBytes

from ..errors import CryptoAttributeError, NegotiationError, Refusal
from ..keying.method import RemoteSection
from .crypto_attribute import CryptoAttribute, crypto_subject
from .fec_streams import fec_goes_elsewhere
from .inline_key import InlineKey, decode_base64
from .policy import policy_of

MAX_CRYPTO_LINES = 32
_KEY_TEXT = re.compile(r"inline:([A-Za-z0-9+/=]+)")


def select(
    remote: RemoteSection,
    suites: tuple[str, ...],
    allowed_flags: frozenset[str],
    own_keys: tuple[InlineKey, ...],
) -> tuple[CryptoAttribute | None, tuple[Refusal, ...]]:
    """Returns the acceptable line whose suite stands first in `suites`, and why each other was not taken.

    A line that is invalid or asks for what is not supported is ignored, as 5.1.2 says, with its reason; so is
    one that has a key which stands elsewhere in the description too, or is one of `own_keys` (6.1): two streams,
    or two SSRCs of one, under one key would share keystream (RFC 3711 9.1).
    """
    refusals: list[Refusal] = []
    acceptable: list[CryptoAttribute] = []
    tags: set[int] = set()
    values = remote.section.attributes("crypto")
    repeated = repeated_keys(remote) if values else frozenset()
    fec_elsewhere = fec_goes_elsewhere(remote.description, remote.section)
    for value in values[:MAX_CRYPTO_LINES]:
        subject = crypto_subject(value)
        try:
            attribute = CryptoAttribute.parse(value)
            subject = attribute.subject
            if attribute.tag in tags:
                raise CryptoAttributeError("tag", "the tag was used by an earlier line")
            tags.add(attribute.tag)
            if attribute.crypto_suite not in suites:
                raise CryptoAttributeError("suite", "the crypto suite is not allowed by the policy")
            policy_of(attribute, allowed_flags, fec_elsewhere=fec_elsewhere)
            check_keys(attribute, repeated, own_keys)
        except CryptoAttributeError as error:
            refusals.append(Refusal(subject, error.code, str(error)))
            continue
        acceptable.append(attribute)
    if len(values) > MAX_CRYPTO_LINES:
        refusals.append(Refusal("a=crypto", "lines", f"more than {MAX_CRYPTO_LINES} lines"))
    # min() keeps the peer's order among lines of the same suite.
    chosen = min(acceptable, key=lambda attribute: suites.index(attribute.crypto_suite), default=None)
    refusals += [
        Refusal(attribute.subject, "preference", "another line is preferred")
        for attribute in acceptable
        if attribute is not chosen
    ]
    return chosen, tuple(refusals)


def check_answer(
    offered: tuple[CryptoAttribute, ...],
    remote: RemoteSection,
    allowed_flags: frozenset[str],
    own_keys: tuple[InlineKey, ...],
) -> tuple[CryptoAttribute, CryptoAttribute] | None:
    """Returns our offered line that the answer took, and the answer's line; None when it has none.

    Raises NegotiationError when there is more than one line, the line is invalid or not supported, its tag and
    suite are not those of one offered line, it has other negotiated parameters than that one, or its key is one
    of ours or stands twice (5.1.3, 6.1).
    """
    values = remote.section.attributes("crypto")
    if not values:
        return None
    if len(values) > 1:
        raise NegotiationError(f"the answer has {len(values)} a=crypto lines, exactly one is allowed")
    subject = crypto_subject(values[0])
    try:
        theirs = CryptoAttribute.parse(values[0])
        subject = theirs.subject
        policy_of(theirs, allowed_flags, fec_elsewhere=fec_goes_elsewhere(remote.description, remote.section))
        ours = next((one for one in offered if (one.tag, one.crypto_suite) == (theirs.tag, theirs.crypto_suite)), None)
        if ours is None:
            raise CryptoAttributeError("not-offered", f"{subject} was not offered")
        if ours.check_valid()[1].flags != theirs.check_valid()[1].flags:
            raise CryptoAttributeError("not-echoed", "its negotiated session parameters are not those offered")
        mine = tuple(key for one in offered for key in one.keys)
        check_keys(theirs, repeated_keys(remote), (*mine, *own_keys))
    except CryptoAttributeError as error:
        raise NegotiationError(
            "the answer's a=crypto line is not acceptable", refusals=(Refusal(subject, error.code, str(error)),)
        ) from None
    return ours, theirs


def check_keys(attribute: CryptoAttribute, repeated: frozenset[bytes], own_keys: tuple[InlineKey, ...]) -> None:
    """Raises CryptoAttributeError when a key of a line is one of ours, or its digest one of `repeated` (6.1)."""
    for key in (*attribute.keys, *attribute.check_valid()[1].fec_key):
        if _digest(bytes(key.key_and_salt)) in repeated:
            raise CryptoAttributeError("key-reuse", "the key is the same as another one of the description")
        if any(key.key_and_salt == own.key_and_salt for own in own_keys):
            raise CryptoAttributeError("own-key", "it has a key of ours for the other direction")


def repeated_keys(remote: RemoteSection) -> frozenset[bytes]:
    """Returns the digests of the keys that stand more than once in a description, `remote.section` in its place."""
    sections = list(remote.description.media)
    sections[remote.index] = remote.section
    found: Counter[bytes] = Counter()
    for one in sections:
        for value in one.attributes("crypto"):
            for text in _KEY_TEXT.findall(value):
                try:
                    found[_digest(decode_base64(text))] += 1
                except (binascii.Error, ValueError):
                    continue
    return frozenset(digest for digest, count in found.items() if count > 1)


def _digest(material: bytes | SecretBytes) -> bytes:
    # A digest, because keys in sets and dicts would stay in memory and be compared in variable time.
    return hashlib.sha256(material).digest()
