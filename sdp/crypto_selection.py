"""Which `a=crypto` line is taken, and the rules an answer's line must keep (RFC 4568 5.1, 6.1, 7.1)."""

from __future__ import annotations

import secrets

from srtp import Policy, SecretBytes

from .errors import CryptoAttributeError, NegotiationError, Refusal
from .sdescriptions import SUPPORTED_SUITES, CryptoAttribute, InlineKey
from .session_description import MediaDescription, SessionDescription

MAX_CRYPTO_LINES = 32


def fresh_attribute(tag: int, suite: str, *, mki_length: int = 0, lifetime: int | None = None) -> CryptoAttribute:
    """Returns a line for `suite` with a new random key; raises NegotiationError for an unsupported suite.

    With `mki_length` the key gets an MKI of that many bytes, of value 1.
    """
    profile = SUPPORTED_SUITES.get(suite)
    if profile is None:
        raise NegotiationError(f"the crypto suite {suite} is not supported")
    material = secrets.token_bytes(profile.master_key_length + profile.master_salt_length)
    mki = (1).to_bytes(mki_length) if mki_length else b""
    return CryptoAttribute(tag, suite, (InlineKey(SecretBytes(material), lifetime, mki),))


def policy_of(attribute: CryptoAttribute) -> Policy:
    """Returns the policy of the direction that is protected with this line's key: its sender's (6.1)."""
    profile = attribute.check_supported()
    key = attribute.keys[0]
    material = bytes(key.key_and_salt)
    split = profile.master_key_length
    return Policy(profile, material[:split], material[split:], mki=key.mki)


def select(section: MediaDescription, suites: tuple[str, ...]) -> tuple[CryptoAttribute | None, tuple[Refusal, ...]]:
    """Returns the acceptable line whose suite stands first in `suites`, and why each other was not taken.

    A line that is invalid or asks for what is not supported is ignored, as 5.1.2 says, with its reason.
    """
    refusals: list[Refusal] = []
    acceptable: list[CryptoAttribute] = []
    tags: set[int] = set()
    values = section.attributes("crypto")
    for value in values[:MAX_CRYPTO_LINES]:
        subject = _subject(value)
        try:
            attribute = CryptoAttribute.parse(value)
            subject = attribute.subject
            if attribute.tag in tags:
                raise CryptoAttributeError("tag", "the tag was used by an earlier line")
            tags.add(attribute.tag)
            attribute.check_supported()
            if attribute.crypto_suite not in suites:
                raise CryptoAttributeError("suite", f"{attribute.crypto_suite} is not allowed by the policy")
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
    offered: tuple[CryptoAttribute, ...], section: MediaDescription, answer: SessionDescription
) -> tuple[CryptoAttribute, CryptoAttribute] | None:
    """Returns our offered line that the answer took, and the answer's line; None when it has none.

    Raises NegotiationError when there is more than one line, the line is invalid, its tag and suite are not
    those of one offered line, or its key is one of ours (5.1.3, 6.1).
    """
    refuse_shared_keys(answer)
    values = section.attributes("crypto")
    if not values:
        return None
    if not offered:
        raise NegotiationError("the answer has an a=crypto line, and none was offered")
    if len(values) > 1:
        raise NegotiationError(f"the answer has {len(values)} a=crypto lines, exactly one is allowed")
    try:
        theirs = CryptoAttribute.parse(values[0])
        theirs.check_supported()
    except CryptoAttributeError as error:
        raise NegotiationError(
            "the answer's a=crypto line is not acceptable",
            refusals=(Refusal(_subject(values[0]), error.code, str(error)),),
        ) from None
    ours = next((one for one in offered if (one.tag, one.crypto_suite) == (theirs.tag, theirs.crypto_suite)), None)
    if ours is None:
        raise NegotiationError(f"the answer's {theirs.subject} was not offered")
    if any(key.key_and_salt == mine.key_and_salt for key in theirs.keys for one in offered for mine in one.keys):
        raise NegotiationError("the answer uses a key of ours for its own direction")
    return ours, theirs


def refuse_shared_keys(description: SessionDescription) -> None:
    """Raises NegotiationError when two lines anywhere in a description have the same key (6.1).

    Two streams, or two SSRCs of one stream, under one key would share keystream (RFC 3711 9.1).
    """
    seen: list[SecretBytes] = []
    for section in description.media:
        for value in section.attributes("crypto")[:MAX_CRYPTO_LINES]:
            try:
                keys = CryptoAttribute.parse(value).keys
            except CryptoAttributeError:
                continue
            for key in keys:
                if any(key.key_and_salt == other for other in seen):
                    raise NegotiationError(
                        "two a=crypto keys of the description are the same",
                        refusals=(Refusal(_subject(value), "key-reuse", "the key stands in another line too"),),
                    )
                seen.append(key.key_and_salt)


def _subject(value: str) -> str:
    """What to call a line that may not even parse: tag and suite, cut short, never what follows them."""
    fields = value.split()[:2]
    return "a=crypto:" + " ".join(field[:40] for field in fields if not field.startswith("inline"))
