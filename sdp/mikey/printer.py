"""Says what stands in a message, every field by the RFC's name; keys only when told to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from functools import partial

from srtp import SecretBytes

from ..errors import MikeyParseError
from .code_points import (
    CertificateType,
    DataType,
    DhGroup,
    EncryptionAlgorithm,
    EnvelopeKeyCache,
    ErrorNumber,
    ExtensionType,
    HashFunction,
    IdRole,
    IdType,
    KeyIdType,
    KeyType,
    KeyValidityType,
    MacAlgorithm,
    MapType,
    PrfFunction,
    RandRole,
    SecurityProtocol,
    SignatureType,
    SrtpAuthentication,
    SrtpEncryption,
    SrtpParameter,
    SrtpPrf,
    TimestampRole,
    TimestampType,
    name_of,
)
from .header import GenericIdMap, Header, SrtpIdMap
from .key_data import KeyData, KeyValidity
from .message import Message, Payload, parse_chain, parse_key_data
from .payloads import Cert, Chash, Dh, Err, GeneralExtension, Id, Kemac, Pke, Rand, Sign, Sp, T, V
from .ticket_payloads import Idr, Randr, Sakke, Ticket, TicketPolicy, Tp, Tr
from .timestamp import ntp_time
from .wire import Reader

_VALUES_OF_PARAMETERS: dict[int, type[IntEnum]] = {
    SrtpParameter.ENCRYPTION_ALGORITHM: SrtpEncryption,
    SrtpParameter.AUTHENTICATION_ALGORITHM: SrtpAuthentication,
    SrtpParameter.SRTP_AUTH_ALGORITHM: SrtpAuthentication,
    SrtpParameter.SRTCP_AUTH_ALGORITHM: SrtpAuthentication,
    SrtpParameter.SRTP_PRF: SrtpPrf,
}
_FLAGS = "DEFGHIJKLMNO"
# 2036-02-07: times are taken to be of 1968 to 2104, as RFC 4330 3 says.
_PIVOT = 2_085_978_496.0
_PUBLIC_KEY_KINDS = (DataType.PUBLIC_KEY, DataType.RSA_R_RESP)


@dataclass(frozen=True, slots=True)
class Description:
    """A payload's name, its fields as names and texts, and the payloads inside it."""

    name: str
    fields: tuple[tuple[str, str], ...]
    inner: tuple[Description, ...] = ()

    def lines(self, indent: int = 0) -> Iterator[str]:
        """The description as text, two blanks deeper for each level."""
        yield f"{'  ' * indent}{self.name}"
        for name, text in self.fields:
            yield f"{'  ' * (indent + 1)}{name}: {text}"
        for one in self.inner:
            yield from one.lines(indent + 1)


def describe(message: Message, *, show_keys: bool = False) -> tuple[Description, ...]:
    """Describes the header and each payload; key and salt data are shown only with `show_keys`."""
    first = message.payloads[0].payload_type if message.payloads else None
    return (_header(message.header, first), *_chain(message.payloads, message.header.data_type, show_keys))


def _chain(payloads: Sequence[Payload], data_type: int, show_keys: bool) -> tuple[Description, ...]:
    """Describes payloads that follow each other, each saying what comes next; SIGN is always the last."""
    found = []
    for place, payload in enumerate(payloads, 1):
        after = payloads[place].payload_type if place < len(payloads) else None
        one = _describe(payload, data_type, show_keys)
        if isinstance(payload, Sign):
            found.append(one)
        else:
            found.append(Description(one.name, (("next payload", _next(after)), *one.fields), one.inner))
    return tuple(found)


def _next(after: IntEnum | None) -> str:
    return "0 (LAST)" if after is None else f"{int(after)} ({after.name})"


def _header(header: Header, first: IntEnum | None) -> Description:
    fields = [
        ("version", "1"),
        ("data type", _named(DataType, header.data_type)),
        ("next payload", _next(first)),
        ("V", str(int(header.v))),
        ("PRF func", _named(PrfFunction, header.prf)),
        ("CSB ID", f"0x{header.csb_id:08x}"),
        ("#CS", str(header.cs_id_map.count)),
        ("CS ID map type", _named(MapType, header.cs_id_map.map_type)),
    ]
    inner = []
    if isinstance(header.cs_id_map, SrtpIdMap):
        for place, entry in enumerate(header.cs_id_map.entries, 1):
            numbers = (("Policy_no", str(entry.policy_no)), ("SSRC", f"0x{entry.ssrc:08x}"), ("ROC", str(entry.roc)))
            inner.append(Description(f"crypto session {place}", numbers))
    elif isinstance(header.cs_id_map, GenericIdMap):
        for one in header.cs_id_map.entries:
            texts = (
                ("CS ID", str(one.cs_id)),
                ("Prot type", _named(SecurityProtocol, one.prot_type)),
                ("S", str(int(one.s))),
                ("#P", str(len(one.policies))),
                ("Ps", " ".join(map(str, one.policies)) or "none"),
                ("Session Data", one.session_data.hex() or "none"),
                ("SPI", one.spi.hex() or "none"),
            )
            inner.append(Description(f"crypto session {one.cs_id}", texts))
    return Description("HDR", tuple(fields), tuple(inner))


def _describe(payload: Payload, data_type: int, show_keys: bool) -> Description:
    name = payload.payload_type.name
    match payload:
        case Kemac():
            return _kemac(payload, data_type, show_keys)
        case KeyData():
            return _key_data(payload, show_keys)
        case Sp():
            return _sp(payload)
        case Tp():
            return _ticket_policy(name, payload.policy, (), show_keys)
        case Ticket():
            data = (("Ticket Data", _hex(payload.ticket_data)), ("Initiator Data", _hex(payload.initiator_data)))
            return _ticket_policy(name, payload.policy, data, show_keys)
        case _:
            return Description(name, tuple(_fields(payload)))


def _fields(payload: Payload) -> list[tuple[str, str]]:
    match payload:
        case Pke():
            return [("C", _named(EnvelopeKeyCache, payload.cache)), ("Data", _hex(payload.data))]
        case Dh():
            head = [("DH-Group", _named(DhGroup, payload.group)), ("DH-value", _hex(payload.value))]
            return [*head, ("Reserv", str(payload.reserved)), *_validity(payload.validity)]
        case Sign():
            return [("S type", _named(SignatureType, payload.signature_type)), ("Signature", _hex(payload.signature))]
        case T():
            return [
                ("TS type", _named(TimestampType, payload.ts_type)),
                ("TS value", _time(payload.ts_type, payload.value)),
            ]
        case Id():
            return [("ID Type", _named(IdType, payload.id_type)), ("ID Data", _text(payload.data))]
        case Cert():
            url = payload.cert_type == CertificateType.X509V3_URL
            data = _text(payload.data) if url else _hex(payload.data)
            return [("Cert Type", _named(CertificateType, payload.cert_type)), ("Certificate Data", data)]
        case Chash():
            return [("Hash func", _named(HashFunction, payload.hash_function)), ("Hash", _hex(payload.hash))]
        case V():
            return [("Auth alg", _named(MacAlgorithm, payload.auth_alg)), ("Ver data", _hex(payload.ver_data))]
        case Rand():
            return [("RAND", _hex(payload.rand))]
        case Err():
            return [("Error no", _named(ErrorNumber, payload.error_no)), ("Reserved", str(payload.reserved))]
        case GeneralExtension():
            return _extension(payload)
        case _:
            return _ticket_fields(payload)


def _ticket_fields(payload: Payload) -> list[tuple[str, str]]:
    match payload:
        case Tr():
            head = [
                ("TS Role", _named(TimestampRole, payload.role)),
                ("TS Type", _named(TimestampType, payload.ts_type)),
            ]
            return [*head, ("TS Value", _time(payload.ts_type, payload.value))]
        case Idr():
            head = [("ID Role", _named(IdRole, payload.role)), ("ID Type", _named(IdType, payload.id_type))]
            return [*head, ("ID Data", _text(payload.data))]
        case Randr():
            return [("RAND Role", _named(RandRole, payload.role)), ("RAND", _hex(payload.rand))]
        case Sakke():
            head = [("SAKKE params", str(payload.parameters)), ("ID scheme", str(payload.scheme))]
            return [*head, ("SAKKE data", _hex(payload.data))]
        case _:
            raise AssertionError(f"{type(payload).__name__} has no description")


def _kemac(payload: Kemac, data_type: int, show_keys: bool) -> Description:
    if payload.rfc4650_numbering:
        encryption, mac = f"{payload.encr_alg} (as RFC 4650 numbers)", f"{payload.mac_alg} (as RFC 4650 numbers)"
    else:
        encryption = _named(EncryptionAlgorithm, payload.encr_alg)
        mac = _named(MacAlgorithm, payload.mac_alg)
    clear = payload.encr_alg == EncryptionAlgorithm.NULL and not payload.rfc4650_numbering
    data = f"{len(payload.data)} bytes" if clear else _hex(bytes(payload.data))
    inner: tuple[Description, ...] = ()
    if clear:
        try:
            identity, keys = parse_key_data(bytes(payload.data), with_id=data_type in _PUBLIC_KEY_KINDS)
            inner = _chain((*((identity,) if identity else ()), *keys), data_type, show_keys)
        except MikeyParseError as error:
            data += f", malformed: {error}"
    fields = (("Encr alg", encryption), ("Encr data", data), ("Mac alg", mac), ("MAC", _hex(payload.mac)))
    return Description("KEMAC", fields, inner)


def _key_data(payload: KeyData, show_keys: bool) -> Description:
    secret = partial(_secret, show_keys=show_keys)
    fields = [("Type", _named(KeyType, payload.kind)), ("Key data", secret(payload.key))]
    if payload.salt is not None:
        fields.append(("Salt data", secret(payload.salt)))
    return Description("KEY_DATA", (*fields, *_validity(payload.validity)))


def _sp(payload: Sp) -> Description:
    inner = []
    srtp = payload.prot_type == SecurityProtocol.SRTP
    for one in payload.parameters:
        value = one.value.hex() or "empty"
        if srtp and one.value:
            value = str(int.from_bytes(one.value))
            if one.kind in _VALUES_OF_PARAMETERS:
                value = _named(_VALUES_OF_PARAMETERS[one.kind], int.from_bytes(one.value))
        kind = _named(SrtpParameter, one.kind) if srtp else str(one.kind)
        fields = (("Type", kind), ("Length", str(len(one.value))), ("Value", value))
        inner.append(Description("parameter", fields))
    head = (("Policy no", str(payload.policy_no)), ("Prot type", _named(SecurityProtocol, payload.prot_type)))
    return Description("SP", head, tuple(inner))


def _ticket_policy(name: str, policy: TicketPolicy, data: tuple[tuple[str, str], ...], show_keys: bool) -> Description:
    flags = "".join(flag for place, flag in enumerate(_FLAGS) if policy.flags >> (11 - place) & 1)
    fields = [
        ("Ticket Type", str(policy.ticket_type)),
        ("Subtype", str(policy.subtype)),
        ("Version", str(policy.version)),
        ("PRF Func", _named(PrfFunction, policy.prf)),
        ("flags", flags or "none"),
        ("Res", str(policy.reserved)),
    ]
    inner: tuple[Description, ...] = ()
    if policy.tp_data:
        try:
            payloads = parse_chain(policy.tp_data[0], Reader(policy.tp_data[1:], name))
            inner = _chain(tuple(payloads), -1, show_keys)
        except MikeyParseError as error:
            fields.append(("TP Data", f"malformed: {error}"))
    return Description(name, (*fields, *data), inner)


def _extension(payload: GeneralExtension) -> list[tuple[str, str]]:
    kind = ("Type", _named(ExtensionType, payload.kind))
    if payload.kind == ExtensionType.SDP_IDS:
        return [kind, ("Data", _text(payload.data))]
    if payload.kind == ExtensionType.KEY_ID:
        try:
            return [
                kind,
                *((f"Key ID of type {_named(KeyIdType, one.kind)}", _hex(one.value)) for one in payload.key_ids),
            ]
        except MikeyParseError as error:
            return [kind, ("Data", f"malformed: {error}")]
    return [kind, ("Data", _hex(payload.data))]


def _validity(validity: KeyValidity) -> list[tuple[str, str]]:
    fields = [("KV", _named(KeyValidityType, validity.kind))]
    if validity.kind == KeyValidityType.SPI:
        fields.append(("SPI", _hex(validity.spi)))
    if validity.kind == KeyValidityType.INTERVAL:
        fields += [("Valid From", _hex(validity.valid_from)), ("Valid To", _hex(validity.valid_to))]
    return fields


def _named(kind: type[IntEnum], value: int) -> str:
    return f"{value} ({name_of(kind, value)})"


def _hex(data: bytes) -> str:
    return f"{data.hex()} ({len(data)} bytes)" if data else "empty"


def _secret(data: SecretBytes, *, show_keys: bool) -> str:
    return _hex(bytes(data)) if show_keys else f"{len(data)} bytes, not shown"


def _text(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return text if text.isprintable() and text.encode() == data else _hex(data)


def _time(ts_type: int, value: bytes) -> str:
    if ts_type == TimestampType.COUNTER:
        return str(int.from_bytes(value))
    moment = datetime.fromtimestamp(ntp_time(value, _PIVOT), UTC)
    return f"{value.hex()} ({moment.isoformat(timespec='milliseconds')})"
