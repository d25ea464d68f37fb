"""Hypothesis strategies for MIKEY messages, and the ONVIF-style message that other implementations send."""

from __future__ import annotations

from hypothesis import strategies as st

from sdp.mikey import (
    Cert,
    Chash,
    Dh,
    EmptyMap,
    Err,
    GeneralExtension,
    GenericId,
    GenericIdMap,
    Header,
    Id,
    Kemac,
    KeyData,
    KeyValidity,
    Message,
    Pke,
    PolicyParameter,
    Rand,
    Sign,
    Sp,
    SrtpId,
    SrtpIdMap,
    T,
    V,
)
from sdp.mikey.ticket_payloads import Idr, Randr, Sakke, Ticket, TicketPolicy, Tp, Tr
from srtp import SecretBytes

# PSK, NULL encryption, NULL MAC, no RAND, a TEK that is key and salt in one, T a Windows FILETIME.
ONVIF = bytes.fromhex(
    "01000500fd6d77d00100 00c20f551c00000000 0a0001d38e19cef95c3d"
    "01000000180001010101100201010301140701010801010a01010b010a"
    "000000270021001e" + bytes(range(0x40, 0x40 + 30)).hex() + "040000002f00"
)

byte = st.integers(0, 255)
word = st.integers(0, 0xFFFF)
number32 = st.integers(0, 0xFFFFFFFF)
data = st.binary(max_size=40)
secrets = data.map(SecretBytes)
short = st.binary(max_size=8)


def sized(*lengths: int) -> st.SearchStrategy[bytes]:
    return st.sampled_from(lengths).flatmap(lambda length: st.binary(min_size=length, max_size=length))


def numbered(kind: type, *lengths: int) -> st.SearchStrategy[object]:
    """A payload of an algorithm's number and as many bytes as it has."""
    pairs = st.sampled_from(list(enumerate(lengths)))
    return pairs.flatmap(lambda pair: st.binary(min_size=pair[1], max_size=pair[1]).map(lambda b: kind(pair[0], b)))


validity = st.one_of(
    st.just(KeyValidity()),
    st.builds(lambda spi: KeyValidity(1, spi=spi), short),
    st.builds(lambda a, b: KeyValidity(2, valid_from=a, valid_to=b), short, short),
)
key_data = st.one_of(
    st.builds(KeyData, st.sampled_from((0, 2, 4, 6, 7, 15)), secrets, st.none(), validity),
    st.builds(KeyData, st.sampled_from((1, 3, 5)), secrets, secrets, validity),
)
srtp_ids = st.builds(SrtpId, byte, number32, number32)
generic_ids = st.one_of(
    st.builds(GenericId, byte, st.just(0), st.lists(byte, max_size=3).map(tuple), sized(0, 4), short),
    st.builds(GenericId, byte, st.just(0), st.lists(byte, max_size=3).map(tuple), sized(10), short, st.just(True)),
    st.builds(GenericId, byte, st.just(9), st.just(()), data, short, st.booleans()),
)
maps = st.one_of(
    st.builds(EmptyMap, byte),
    st.lists(srtp_ids, max_size=4).map(lambda entries: SrtpIdMap(tuple(entries))),
    st.lists(generic_ids, max_size=4).map(lambda entries: GenericIdMap(tuple(entries))),
)
data_types = st.integers(0, 255).filter(lambda kind: kind not in (7, 8))
headers = st.builds(Header, data_types, number32, maps, st.booleans(), st.integers(0, 127))
macs = st.sampled_from(((0, 0), (1, 20), (2, 32)))
kemacs = st.builds(
    lambda encryption, content, mac, fill: Kemac(encryption, SecretBytes(content), mac[0], bytes([fill]) * mac[1]),
    byte,
    data,
    macs,
    byte,
)
dhs = st.sampled_from(((0, 192), (1, 96), (2, 128))).flatmap(
    lambda pair: st.builds(
        Dh, st.just(pair[0]), st.binary(min_size=pair[1], max_size=pair[1]), validity, st.integers(0, 15)
    )
)
policies = st.builds(
    TicketPolicy, word, byte, byte, st.integers(0, 127), st.integers(0, 4095), data, st.integers(0, 31)
)
parameters = st.lists(st.builds(PolicyParameter, byte, short), max_size=5).map(tuple)
payloads = st.one_of(
    kemacs,
    st.builds(Pke, st.integers(0, 3), data),
    dhs,
    numbered(T, 8, 8, 4, 4),
    st.builds(Id, byte, data),
    st.builds(Cert, byte, data),
    numbered(Chash, 20, 16, 32),
    numbered(V, 0, 20, 32),
    st.builds(Sp, byte, byte, parameters),
    st.builds(Rand, data),
    st.builds(Err, byte, word),
    st.builds(GeneralExtension, byte, data),
    key_data,
    numbered(lambda kind, value: Tr(3, kind, value), 8, 8, 4, 4),
    st.builds(Idr, byte, byte, data),
    st.builds(Randr, byte, data),
    st.builds(Tp, policies),
    st.builds(Ticket, policies, data, data),
    st.builds(Sakke, byte, byte, data),
)
signs = st.one_of(st.just(()), st.builds(lambda kind, content: (Sign(kind, content),), st.integers(0, 15), data))
messages = st.builds(
    lambda header, some, sign: Message(header, (*some, *sign)), headers, st.lists(payloads, max_size=6), signs
)
