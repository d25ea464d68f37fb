"""What each mode does with an authenticated first message, and its response (RFC 3830 3, RFC 4650 3, RFC 4738 3.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from srtp import SecretBytes

from ..errors import MikeyRefusedError
from .certificates import (
    ENVELOPE_KEY_LENGTH,
    certificate_payloads,
    decrypt_envelope_key,
    encrypt_envelope_key,
    matches_hash,
    public_key_of,
    signing_key,
)
from .code_points import EnvelopeKeyCache, ErrorNumber, KeyType, MacAlgorithm
from .crypto_session_bundle import CryptoSessionBundle
from .diffie_hellman import DhKey
from .exchange import (
    Mode,
    Verification,
    accepted_encryption,
    accepted_group,
    seal_kemac,
    seal_with_kemac,
    seal_with_signature,
    seal_with_v,
)
from .header import CsIdMap, EmptyMap, Header, SrtpIdMap
from .key_data import KeyData
from .key_generation import new_tgk
from .key_transport import MessageKeys
from .message import Payload, parse_key_data, serialize_chain
from .message_checks import check_keys, open_public_key_kemac, required
from .payloads import Chash, Dh, Kemac, Pke, Sp
from .responder_request import Request

RandomBytes = Callable[[int], bytes]


def process(
    request: Request, ssrcs: tuple[int, ...], random_bytes: RandomBytes
) -> tuple[CryptoSessionBundle, bytes | None]:
    """Returns the bundle and the response; raises MikeyRefusedError for what is not acceptable."""
    pending = _pending(request, ssrcs)
    match request.mode:
        case Mode.PSK:
            return _psk(request, pending)
        case Mode.PUBLIC_KEY:
            return _public_key(request, pending)
        case Mode.DH_SIGN | Mode.DHHMAC:
            return _diffie_hellman(request, pending, random_bytes)
        case Mode.RSA_R:
            return _rsa_r(request, pending, random_bytes)


def _pending(request: Request, ssrcs: tuple[int, ...]) -> CryptoSessionBundle:
    """The bundle without new keys: policies checked, open SSRCs filled in."""
    message = request.message
    known = request.known
    policies = message.all(Sp) or (known.policies if known else ())
    cs_id_map: CsIdMap = message.header.cs_id_map
    if isinstance(cs_id_map, SrtpIdMap):
        cs_id_map = cs_id_map.with_ssrcs(ssrcs)
        if not cs_id_map.entries and known is not None:
            cs_id_map = known.cs_id_map
    elif not isinstance(cs_id_map, EmptyMap):
        raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "the GENERIC-ID map is for MIKEY-TICKET")
    elif message.all(Sp):
        raise MikeyRefusedError(ErrorNumber.INVALID_SP, "an SP payload stands beside an Empty map")
    pending = CryptoSessionBundle(
        mode=request.mode,
        profile=request.settings.profile,
        derivation=request.derivation,
        cs_id_map=cs_id_map,
        policies=policies,
        keys=known.keys if known else (),
        initiator=request.peer.identity,
        responder=request.ourselves.identity,
        timestamp=request.timestamp,
        message_key=request.keys.key if request.keys else None,
        envelope_key_cached=bool(known and known.envelope_key_cached),
    )
    if request.mode is Mode.RSA_R:
        return _choose_policy(request, pending)
    if isinstance(cs_id_map, SrtpIdMap):
        for entry in cs_id_map.entries:
            _check_policy(request, pending, entry.policy_no)
    return pending


def _check_policy(request: Request, pending: CryptoSessionBundle, policy_no: int) -> None:
    profile = pending.profile_of_policy(policy_no)
    if profile not in request.settings.srtp_profiles:
        raise MikeyRefusedError(ErrorNumber.INVALID_SPPAR, f"the SRTP profile {profile.name} is not accepted")


def _choose_policy(request: Request, pending: CryptoSessionBundle) -> CryptoSessionBundle:
    """Takes the first of the proposed policies that is accepted, for all streams (RFC 4738 3.5)."""
    refusal = MikeyRefusedError(ErrorNumber.INVALID_SPPAR, "no policy was proposed")
    for policy in pending.policies:
        try:
            _check_policy(request, pending, policy.policy_no)
        except MikeyRefusedError as error:
            refusal = error
            continue
        cs_id_map = pending.cs_id_map
        if isinstance(cs_id_map, SrtpIdMap):
            entries = tuple(replace(entry, policy_no=policy.policy_no) for entry in cs_id_map.entries)
            cs_id_map = SrtpIdMap(entries)
        return replace(pending, policies=(policy,), cs_id_map=cs_id_map)
    raise refusal


def _response_header(request: Request, agreed: CryptoSessionBundle) -> Header:
    return Header(request.mode.response, agreed.csb_id, agreed.cs_id_map, prf=request.derivation.function)


def _usable(agreed: CryptoSessionBundle) -> CryptoSessionBundle:
    """Derives all keys once, so that what does not fit is refused now and not when media start."""
    _ = agreed.sessions
    return agreed


def _psk(request: Request, pending: CryptoSessionBundle) -> tuple[CryptoSessionBundle, bytes | None]:
    kemac = required(request.message.only(Kemac), "KEMAC")
    encryption = accepted_encryption(kemac.encr_alg, request.settings.profile)
    data = bytes(kemac.data)
    if request.keys is not None:
        data = request.keys.decrypt(encryption, request.timestamp.value64, data) if data else b""
    _, key_data = parse_key_data(data, with_id=False)
    agreed = _usable(replace(pending, keys=check_keys(key_data) or pending.keys))
    return agreed, _verification_message(request, agreed, kemac.mac_algorithm)


def _public_key(request: Request, pending: CryptoSessionBundle) -> tuple[CryptoSessionBundle, bytes | None]:
    message = request.message
    chash = message.only(Chash)
    certificates = request.ourselves.certificates
    if chash is not None and not (certificates and matches_hash(certificates[0], chash)):
        raise MikeyRefusedError(ErrorNumber.INVALID_CERT, "the envelope key is encrypted to another certificate")
    pke = required(message.only(Pke), "PKE")
    envelope_key = decrypt_envelope_key(signing_key(request.ourselves), pke.data)
    keys = MessageKeys(request.derivation, envelope_key)
    profile = request.settings.profile
    key_data: tuple[KeyData, ...] = ()
    mac = MacAlgorithm.HMAC_SHA_1_160
    kemac = message.only(Kemac)
    if kemac is not None or request.known is None:
        key_data = open_public_key_kemac(message, keys, request.timestamp, request.peer.identity, profile)
    if kemac is not None and kemac.mac_alg:
        mac = kemac.mac_algorithm
    cached = pke.cache in (EnvelopeKeyCache.CACHE, EnvelopeKeyCache.CACHE_FOR_CSB)
    agreed = replace(pending, keys=key_data or pending.keys, envelope_key_cached=cached)
    agreed = _usable(replace(agreed, message_key=envelope_key if cached else None))
    return agreed, _verification_message(replace(request, keys=keys), agreed, mac)


def _verification_message(request: Request, agreed: CryptoSessionBundle, mac: MacAlgorithm) -> bytes | None:
    """The response of PSK and PUBLIC_KEY, where the initiator asked for one; its V uses the MAC of the KEMAC."""
    if not request.message.header.v:
        return None
    payloads = (request.timestamp, request.ourselves.identity)
    # Without a key, in null-over-tls, V is as empty as the MAC was.
    keys = request.keys or MessageKeys(request.derivation, SecretBytes(b""))
    return seal_with_v(_response_header(request, agreed), payloads, mac, keys, request.verification)


def _diffie_hellman(
    request: Request, pending: CryptoSessionBundle, random_bytes: RandomBytes
) -> tuple[CryptoSessionBundle, bytes | None]:
    theirs = request.message.only(Dh)
    ours: tuple[Dh, ...] = ()
    agreed = pending
    if theirs is None:
        if request.known is None:
            raise MikeyRefusedError(ErrorNumber.INVALID_DH, "the message has no Diffie-Hellman value")
    else:
        key = DhKey.generate(accepted_group(theirs.group, request.settings.profile), random_bytes)
        tgk = KeyData(KeyType.TGK, key.tgk(theirs.value), None, theirs.validity)
        ours = (Dh(key.group, key.value, theirs.validity), theirs)
        agreed = replace(pending, keys=(tgk,))
    agreed = _usable(agreed)
    header = _response_header(request, agreed)
    front: tuple[Payload, ...] = (request.timestamp, request.ourselves.identity)
    if request.mode is Mode.DH_SIGN:
        front += certificate_payloads(request.ourselves)
        return agreed, _sign(request, header, (*front, request.peer.identity, *ours))
    kemac = required(request.message.only(Kemac), "KEMAC")
    if len(kemac.data):
        raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "KEMAC of DHHMAC holds data")
    answer = Kemac(kemac.encr_alg, SecretBytes(b""), kemac.mac_alg, rfc4650_numbering=kemac.rfc4650_numbering)
    keys = required(request.keys, "key that is shared with us")
    return agreed, seal_with_kemac(header, (*front, request.peer.identity, *ours), answer, keys)


def _rsa_r(
    request: Request, pending: CryptoSessionBundle, random_bytes: RandomBytes
) -> tuple[CryptoSessionBundle, bytes | None]:
    public_key = public_key_of(request.message, request.peer, request.now, encrypting=True)
    envelope_key = SecretBytes(random_bytes(ENVELOPE_KEY_LENGTH))
    keys = MessageKeys(request.derivation, envelope_key)
    identity = request.ourselves.identity
    encryption, mac = request.settings.profile.encryption[0], request.settings.profile.macs[0]
    tgk = new_tgk(random_bytes, encryption, request.settings.validity, (identity,))
    # An update need not have new keys (RFC 3830 4.5): KEMAC then holds only the identity.
    key_data = (tgk,) if request.known is None or request.settings.rekey_updates else ()
    agreed = _usable(replace(pending, keys=key_data or pending.keys))
    data = keys.encrypt(encryption, request.timestamp.value64, serialize_chain((identity, *key_data)))
    kemac = Kemac(encryption, SecretBytes(data), mac)
    payloads: tuple[Payload, ...] = (
        request.timestamp,
        identity,
        *certificate_payloads(request.ourselves),
        *agreed.policies,
        seal_kemac(kemac, keys),
        Pke(EnvelopeKeyCache.NO_CACHE, encrypt_envelope_key(public_key, envelope_key)),
    )
    return agreed, _sign(request, _response_header(request, agreed), payloads, request.verification)


def _sign(request: Request, header: Header, payloads: tuple[Payload, ...], behind: Verification | None = None) -> bytes:
    settings = request.settings
    key = signing_key(request.ourselves)
    return seal_with_signature(header, payloads, key, settings.signature_type, settings.signature_hash, behind)
