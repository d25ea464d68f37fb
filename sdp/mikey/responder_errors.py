"""The error message that refuses a first message (RFC 3830 5.1.2, RFC 4650 4.1)."""

from __future__ import annotations

from srtp import SecretBytes

from ..errors import MikeyError
from .certificates import certificate_payloads
from .code_points import DataType, EncryptionAlgorithm, ErrorNumber, MacAlgorithm
from .exchange import Mode, seal_with_kemac, seal_with_signature, seal_with_v
from .header import Header
from .message import Message, Payload
from .payloads import Err, Kemac, T
from .responder_request import Request, ResponderSettings
from .srtp_policy import policy_payload

_NEVER_ANSWERED = frozenset((DataType.ERROR, *(mode.response for mode in Mode)))


def error_message(
    message: Message, error_no: int, request: Request | None, settings: ResponderSettings
) -> bytes | None:
    """Returns the error message, None where the refused message has no timestamp to answer with.

    To a response or an error message there is none either: two sides would answer errors with errors for ever.
    It is authenticated only when the initiator was (`request`): signing for anybody would invite floods. When
    the policies were not acceptable, it lists those that are.
    """
    timestamps = message.all(T)
    if not timestamps or message.header.data_type in _NEVER_ANSWERED:
        return None
    header = Header(DataType.ERROR, message.header.csb_id, prf=message.header.prf)
    payloads: tuple[Payload, ...] = (timestamps[0], Err(error_no))
    if error_no in (ErrorNumber.INVALID_SP, ErrorNumber.INVALID_SPPAR) and request is not None:
        payloads += tuple(policy_payload(one, number) for number, one in enumerate(settings.srtp_profiles))
    if request is None or settings.profile.null_over_tls:
        return Message(header, payloads).serialize()
    key = request.ourselves.private_key
    try:
        if request.mode.signs and key is not None:
            # 5.1.2 names no CERT, but who starts these modes may know our certificate from our response only.
            if request.mode is not Mode.PUBLIC_KEY:
                payloads = (payloads[0], *certificate_payloads(request.ourselves), *payloads[1:])
            return seal_with_signature(header, payloads, key, settings.signature_type, settings.signature_hash)
        if request.keys is not None and request.mode is Mode.DHHMAC:
            kemac = Kemac(EncryptionAlgorithm.NULL, SecretBytes(b""), MacAlgorithm.HMAC_SHA_1_160)
            return seal_with_kemac(header, payloads, kemac, request.keys)
        if request.keys is not None:
            mac = MacAlgorithm.HMAC_SHA_1_160
            return seal_with_v(header, payloads, mac, request.keys, request.verification)
    except MikeyError:
        return None
    return Message(header, payloads).serialize()
