"""What is checked of every message, whichever side reads it: identities, the list of protocols, keys (RFC 3830 5.3)."""

from __future__ import annotations

import itertools
from typing import TypeVar

from ..errors import MikeyIndistinguishableKeysError, MikeyRefusedError
from .code_points import EncryptionAlgorithm, ErrorNumber, ExtensionType, KeyValidityType, MacAlgorithm
from .crypto_session_bundle import MIN_TGK_LENGTH
from .exchange import MikeyProfile, accepted_encryption, accepted_mac, check_mac
from .key_data import KeyData, KeyValidity
from .key_transport import MessageKeys
from .message import Message, parse_key_data
from .payloads import GeneralExtension, Id, Kemac, T

MAX_KEYS = 16
_P = TypeVar("_P")


def identities(message: Message, ourselves: Id, *, response: bool = False) -> tuple[Id | None, Id | None]:
    """Returns the initiator's and the responder's ID payloads, as far as they are there.

    The payloads do not say whose they are: of two in an initiator's message the first is its own, in a response
    the other way round; a single one that is ours, in a message to us, tells whom it is for.
    Raises MikeyRefusedError (INVALID_ID) for more than two.
    """
    found = message.all(Id)
    if len(found) > 2:
        raise MikeyRefusedError(ErrorNumber.INVALID_ID, f"{len(found)} identities are more than two")
    if len(found) == 2:
        return (found[1], found[0]) if response else (found[0], found[1])
    if not found:
        return None, None
    initiator_is_ours = response
    if found[0] == ourselves:
        return (found[0], None) if initiator_is_ours else (None, found[0])
    return (None, found[0]) if initiator_is_ours else (found[0], None)


def timestamp_of(message: Message) -> T:
    """Returns the message's T, which every message has; raises MikeyRefusedError (INVALID_TS) without one."""
    timestamp = message.only(T)
    if timestamp is None:
        raise MikeyRefusedError(ErrorNumber.INVALID_TS, "the message has no timestamp")
    return timestamp


def check_sdp_ids(message: Message, offered: tuple[str, ...] | None) -> None:
    """Compares the authenticated list of key management protocols with those of the SDP (RFC 4567 4.1.4, 7).

    `offered` is None where there was no SDP. Raises MikeyRefusedError (UNSPECIFIED) when the list is missing or
    another: somebody may have taken away a protocol that we would have preferred.
    """
    if offered is None:
        return
    lists = [one.data for one in message.all(GeneralExtension) if one.kind == ExtensionType.SDP_IDS]
    if lists != [";".join(offered).encode()]:
        raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "the offered protocols are not those that were authenticated")


def open_public_key_kemac(
    message: Message, keys: MessageKeys, timestamp: T, sender: Id, profile: MikeyProfile
) -> tuple[KeyData, ...]:
    """Checks and decrypts KEMAC of the public key modes, and compares the sender's identity in it (3.2).

    The MAC may be NULL only with AES key wrap, which authenticates what it wraps (4.2.3).
    """
    kemac = required(message.only(Kemac), "KEMAC")
    encryption = accepted_encryption(kemac.encr_alg, profile)
    wrapped = encryption is EncryptionAlgorithm.AES_KW_128 and kemac.mac_alg == MacAlgorithm.NULL
    mac = MacAlgorithm.NULL if wrapped else accepted_mac(kemac.mac_alg, profile)
    check_mac(keys, mac, b"\0" + kemac.authenticated_body(), kemac.mac)
    data = keys.decrypt(encryption, timestamp.value64, bytes(kemac.data))
    identity, found = parse_key_data(data, with_id=True)
    if identity != sender:
        raise MikeyRefusedError(ErrorNumber.INVALID_ID, "the encrypted identity is not the sender's")
    return check_keys(found)


def check_keys(keys: tuple[KeyData, ...]) -> tuple[KeyData, ...]:
    """Returns keys that can be told apart.

    Raises MikeyRefusedError (UNSPECIFIED) for too many or too short ones, and MikeyIndistinguishableKeysError
    (UNSPECIFIED) for two of the same MKI or of MKIs of two lengths, for intervals that overlap, and for one of
    several keys without either.
    """
    if len(keys) > MAX_KEYS:
        raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, f"{len(keys)} keys are more than {MAX_KEYS}")
    if any(len(key.key) < MIN_TGK_LENGTH for key in keys):
        raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, f"a key has less than {MIN_TGK_LENGTH} bytes")
    for (first, key), (second, other) in itertools.combinations(enumerate(keys), 2):
        reason = _confusion(key.validity, other.validity)
        if reason:
            raise MikeyIndistinguishableKeysError(ErrorNumber.UNSPECIFIED, reason, (first, second))
    return keys


def _confusion(one: KeyValidity, other: KeyValidity) -> str:
    """Why two keys of one stream cannot be told apart, empty when they can."""
    kinds = {one.kind, other.kind}
    if KeyValidityType.NULL in kinds:
        return "one of several keys has no MKI and no interval"
    if len(kinds) > 1:
        return "some keys have an MKI, others an interval"
    if kinds == {KeyValidityType.SPI}:
        if len(one.spi) != len(other.spi):
            return "the MKIs of two keys have different lengths"
        return "two keys have the same MKI" if one.spi == other.spi else ""
    starts = int.from_bytes(one.valid_from), int.from_bytes(other.valid_from)
    ends = int.from_bytes(one.valid_to), int.from_bytes(other.valid_to)
    return "the intervals of two keys overlap" if max(starts) <= min(ends) else ""


def required(payload: _P | None, name: str) -> _P:
    """Returns a payload that has to be there; raises MikeyRefusedError (UNSPECIFIED) when it is not."""
    if payload is None:
        raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, f"the message has no {name}")
    return payload


def last_payload(message: Message, kind: type[_P]) -> _P:
    """Returns the payload that authenticates a message; raises MikeyRefusedError (AUTH_FAILURE) when it is not last."""
    last = message.payloads[-1] if message.payloads else None
    if not isinstance(last, kind) or message.only(kind) is None:
        raise MikeyRefusedError(ErrorNumber.AUTH_FAILURE, f"{kind.__name__.upper()} is not the last payload")
    return last
