"""A second derivation of all that a MIKEY exchange computes, written from the RFCs' text and nothing else.

It shares no code with `sdp.mikey`: it walks the bytes of the messages with the figures of RFC 3830 6 in hand and
computes with `hmac` and `cryptography`. Each function returns what it found by the names of the vector files, and
asserts that MACs and signatures hold.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from math import ceil

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_OAKLEY_5 = (
    "FFFFFFFF FFFFFFFF C90FDAA2 2168C234 C4C6628B 80DC1CD1 29024E08 8A67CC74 020BBEA6 3B139B22 514A0879 8E3404DD "
    "EF9519B3 CD3A431B 302B0A6D F25F1437 4FE1356D 6D51C245 E485B576 625E7EC6 F44C42E9 A637ED6B 0BFF5CB6 F406B7ED "
    "EE386BFB 5A899FA5 AE9F2411 7C4B1FE6 49286651 ECE45B3D C2007CB8 A163BF05 98DA4836 1C55D39A 69163FA8 FD24CF5F "
    "83655D23 DCA3AD96 1C62F356 208552BB 9ED52907 7096966D 670C354E 4ABC9804 F1746C08 CA237327 FFFFFFFF FFFFFFFF"
)  # RFC 3526 2
OAKLEY_5 = int(_OAKLEY_5.replace(" ", ""), 16)


def prf(name: str, inkey: bytes, label: bytes, outkey_len: int) -> bytes:
    """RFC 3830 4.1.2, lengths in bits as there; RFC 6043 6.1 for SHA-256."""
    hash_bits, hash_name = (160, "sha1") if name == "MIKEY-1" else (256, "sha256")

    def mac(key: bytes, text: bytes) -> bytes:
        return hmac.new(key, text, hash_name).digest()

    def p(s: bytes, m: int) -> bytes:
        a = [label]
        for i in range(1, m + 1):
            a.append(mac(s, a[i - 1]))
        return b"".join(mac(s, a[i] + label) for i in range(1, m + 1))

    n = ceil(len(inkey) * 8 / 256)
    m = ceil(outkey_len / hash_bits)
    outkey = bytes(outkey_len // 8)
    for i in range(n):
        part = p(inkey[32 * i : 32 * i + 32], m)
        outkey = bytes(one ^ other for one, other in zip(outkey, part, strict=False))
    return outkey


@dataclass(frozen=True)
class Piece:
    """A payload: its type, where it starts, its next payload field excluded, and the end."""

    kind: int
    start: int
    end: int


def walk(data: bytes) -> list[Piece]:
    """The payloads behind the header, by the length rules of RFC 3830 6."""
    entries = data[8]
    assert data[9] == 0, "the SRTP-ID map"
    offset = 10 + 9 * entries
    kind = data[2]
    pieces = []
    while kind:
        if kind == 4:
            length = 2 + (int.from_bytes(data[offset : offset + 2]) & 0xFFF)
            assert offset + length == len(data)
            pieces.append(Piece(kind, offset, offset + length))
            break
        following = data[offset]
        body = offset + 1
        pieces.append(Piece(kind, body, body + length_of(kind, data, body)))
        offset = pieces[-1].end
        kind = following
    assert pieces[-1].end == len(data)
    return pieces


def length_of(kind: int, data: bytes, at: int) -> int:
    def number(offset: int, size: int) -> int:
        return int.from_bytes(data[at + offset : at + offset + size])

    if kind == 1:
        encrypted = number(1, 2)
        return 4 + encrypted + {0: 0, 1: 20, 2: 32}[number(3 + encrypted, 1)]
    if kind == 3:
        assert number(0, 1) == 0, "OAKLEY 5"
        value = 1 + 192
        assert number(value, 1) == 0, "no key validity data"
        return value + 1
    return {
        2: lambda: 2 + (number(0, 2) & 0x3FFF),
        5: lambda: 1 + 8,
        6: lambda: 3 + number(1, 2),
        7: lambda: 3 + number(1, 2),
        8: lambda: 1 + {0: 20, 1: 16, 2: 32}[number(0, 1)],
        9: lambda: 1 + {0: 0, 1: 20, 2: 32}[number(0, 1)],
        10: lambda: 4 + number(2, 2),
        11: lambda: 1 + number(0, 1),
        21: lambda: 3 + number(1, 2),
    }[kind]()


def body(data: bytes, kind: int, place: int = 0) -> bytes:
    """The bytes of the payload of a kind, without its next payload field."""
    found = [data[piece.start : piece.end] for piece in walk(data) if piece.kind == kind]
    return found[place]


def common(vector: dict[str, str], data: bytes, rand: bytes) -> dict[str, bytes]:
    """CSB ID, T and RAND as the first message has them."""
    return {"csb_id": data[4:8], "t": body(data, 5)[1:], "rand": rand}


def message_keys(vector: dict[str, str], inkey: bytes, csb_id: bytes, rand: bytes) -> dict[str, bytes]:
    """RFC 3830 4.1.4: label = constant || 0xFF || csb_id || RAND."""
    tail = b"\xff" + csb_id + rand
    encr_bits, salt_bits = {"AES-CM-128": (128, 112), "AES-CM-256": (256, 112), "AES-KW-128": (128, 64)}[vector["encr"]]
    auth_bits = 160 if vector["mac_alg"] == "HMAC-SHA-1-160" else 256
    return {
        "encr_key": prf(vector["prf"], inkey, bytes.fromhex("150533E1") + tail, encr_bits),
        "auth_key": prf(vector["prf"], inkey, bytes.fromhex("2D22AC75") + tail, auth_bits),
        "salt_key": prf(vector["prf"], inkey, bytes.fromhex("29B88916") + tail, salt_bits),
    }


def mac_of(vector: dict[str, str], auth_key: bytes, data: bytes) -> bytes:
    name = "sha1" if vector["mac_alg"] == "HMAC-SHA-1-160" else "sha256"
    return hmac.new(auth_key, data, name).digest()


def decrypted(vector: dict[str, str], keys: dict[str, bytes], csb_id: bytes, t: bytes, data: bytes) -> dict[str, bytes]:
    """RFC 3830 4.2.3; the key wrap's initial value is the salt."""
    if vector["encr"] == "AES-KW-128":
        return {"key_data": unwrapped(keys["encr_key"], keys["salt_key"], data)}
    mask = b"\x00\x00" + csb_id + t
    iv = bytes(one ^ other for one, other in zip(keys["salt_key"], mask, strict=True)) + b"\x00\x00"
    stream = Cipher(algorithms.AES(keys["encr_key"]), modes.CTR(iv)).decryptor()
    return {"iv": iv, "key_data": stream.update(data) + stream.finalize()}


def unwrapped(key: bytes, salt: bytes, data: bytes) -> bytes:
    """AES key unwrap, by the indexed description of RFC 3394 2.2.2; `cryptography` has only the default IV."""
    n = len(data) // 8 - 1
    a, r = data[:8], [b""] + [data[8 * i : 8 * i + 8] for i in range(1, n + 1)]
    aes = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    for j in range(5, -1, -1):
        for i in range(n, 0, -1):
            t = n * j + i
            b = aes.update(bytes(x ^ y for x, y in zip(a, t.to_bytes(8), strict=True)) + r[i])
            a, r[i] = b[:8], b[8:]
    assert a == salt
    return b"".join(r[1:])


def key_data_fields(data: bytes) -> dict[str, bytes]:
    """The first Key data sub-payload (RFC 3830 6.13), of type TGK without validity."""
    assert data[0] == 0, "the last"
    assert data[1] == 0, "a TGK without validity"
    length = int.from_bytes(data[2:4])
    assert len(data) == 4 + length
    return {"tgk": data[4:]}


def sessions(vector: dict[str, str], tgk: bytes, csb_id: bytes, rand: bytes, count: int) -> list[dict[str, bytes]]:
    """RFC 3830 4.1.3: label = constant || cs_id || csb_id || RAND; AES-CM-128 with 14 bytes of salt."""
    found = []
    for cs_id in range(1, count + 1):
        tail = bytes((cs_id,)) + csb_id + rand
        tek = prf(vector["prf"], tgk, bytes.fromhex("2AD01C64") + tail, 128)
        salt = prf(vector["prf"], tgk, bytes.fromhex("39A2C14B") + tail, 112)
        found.append({"tek": tek, "salt": salt})
    return found


def check_signature(key: RSAPublicKey, signature: bytes, data: bytes) -> None:
    key.verify(signature, data, padding.PKCS1v15(), hashes.SHA1())


def certificate_key(data: bytes) -> RSAPublicKey:
    """The key of the first CERT payload."""
    key = x509.load_der_x509_certificate(body(data, 7)[3:]).public_key()
    assert isinstance(key, RSAPublicKey)
    return key


def verification_tail(vector: dict[str, str], t: bytes) -> bytes:
    """Identity_i || Identity_r || Timestamp (5.2)."""
    return vector["initiator"].encode() + vector["responder"].encode() + t


def psk(vector: dict[str, str], i_message: bytes, r_message: bytes) -> dict[str, object]:
    """RFC 3830 3.1."""
    found = common(vector, i_message, body(i_message, 11)[1:])
    csb_id, t = found["csb_id"], found["t"]
    keys = message_keys(vector, bytes.fromhex(vector["psk"]), csb_id, found["rand"])
    kemac = body(i_message, 1)
    size = {"HMAC-SHA-1-160": 20, "HMAC-SHA-256-256": 32}[vector["mac_alg"]]
    assert mac_of(vector, keys["auth_key"], i_message[:-size]) == i_message[-size:]
    clear = decrypted(vector, keys, csb_id, t, kemac[3 : 3 + int.from_bytes(kemac[1:3])])
    fields = key_data_fields(clear["key_data"])
    covered = r_message[:-size] + verification_tail(vector, t)
    assert mac_of(vector, keys["auth_key"], covered) == r_message[-size:]
    macs = {"i_mac": i_message[-size:], "r_mac": r_message[-size:]}
    teks = sessions(vector, fields["tgk"], csb_id, found["rand"], i_message[8])
    return {**found, **keys, **clear, **fields, **macs, "sessions": teks}


def envelope(
    vector: dict[str, str], message: bytes, key: RSAPrivateKey, sender: str, found: dict[str, bytes]
) -> dict[str, object]:
    """The envelope of RFC 3830 3.2 and RFC 4738 3.6: PKE, and KEMAC with the sender's ID before the key."""
    pke = body(message, 2)
    env_key = key.decrypt(pke[2:], padding.PKCS1v15())
    keys = message_keys(vector, env_key, found["csb_id"], found["rand"])
    kemac = body(message, 1)
    size = {"HMAC-SHA-1-160": 20, "HMAC-SHA-256-256": 32}[vector["mac_alg"]]
    # "Before calculating the MAC, the Next payload field is set to zero."
    assert mac_of(vector, keys["auth_key"], b"\x00" + kemac[:-size]) == kemac[-size:]
    clear = decrypted(vector, keys, found["csb_id"], found["t"], kemac[3 : 3 + int.from_bytes(kemac[1:3])])
    identity_length = int.from_bytes(clear["key_data"][2:4])
    assert clear["key_data"][0] == 20
    assert clear["key_data"][4 : 4 + identity_length].decode() == sender
    fields = key_data_fields(clear["key_data"][4 + identity_length :])
    return {"env_key": env_key, **keys, **clear, **fields, "kemac_mac": kemac[-size:]}


def public_key(vector: dict[str, str], i_message: bytes, r_message: bytes, key: RSAPrivateKey) -> dict[str, object]:
    """RFC 3830 3.2; `key` is the responder's."""
    found = common(vector, i_message, body(i_message, 11)[1:])
    signature = body(i_message, 4)[2:]
    check_signature(certificate_key(i_message), signature, i_message[: -len(signature)])
    opened = envelope(vector, i_message, key, vector["initiator"], found)
    auth_key = opened["auth_key"]
    assert isinstance(auth_key, bytes)
    size = {"HMAC-SHA-1-160": 20, "HMAC-SHA-256-256": 32}[vector["mac_alg"]]
    covered = r_message[:-size] + verification_tail(vector, found["t"])
    assert mac_of(vector, auth_key, covered) == r_message[-size:]
    tgk = opened["tgk"]
    assert isinstance(tgk, bytes)
    teks = sessions(vector, tgk, found["csb_id"], found["rand"], i_message[8])
    return {**found, **opened, "r_mac": r_message[-size:], "sessions": teks}


def rsa_r(vector: dict[str, str], i_message: bytes, r_message: bytes, key: RSAPrivateKey) -> dict[str, object]:
    """RFC 4738 3; `key` is the initiator's."""
    found = common(vector, i_message, body(i_message, 11)[1:])
    signature = body(i_message, 4)[2:]
    check_signature(certificate_key(i_message), signature, i_message[: -len(signature)])
    sign = body(r_message, 4)
    # "R_MESSAGE (excluding the SIGNr payload itself) || IDi || IDr || T"
    covered = r_message[: -len(sign)] + verification_tail(vector, found["t"])
    check_signature(certificate_key(r_message), sign[2:], covered)
    opened = envelope(vector, r_message, key, vector["responder"], found)
    tgk = opened["tgk"]
    assert isinstance(tgk, bytes)
    return {**found, **opened, "sessions": sessions(vector, tgk, found["csb_id"], found["rand"], i_message[8])}


def diffie_hellman(vector: dict[str, str], i_message: bytes, r_message: bytes) -> dict[str, object]:
    """The part that DH_SIGN (RFC 3830 3.3) and DHHMAC (RFC 4650 3) have in common."""
    found = common(vector, i_message, body(i_message, 11)[1:])
    xi, xr = int(vector["xi"], 16), int(vector["xr"], 16)
    dhi = pow(2, xi, OAKLEY_5).to_bytes(192)
    dhr = pow(2, xr, OAKLEY_5).to_bytes(192)
    assert body(i_message, 3)[1:193] == dhi
    assert (body(r_message, 3)[1:193], body(r_message, 3, 1)[1:193]) == (dhr, dhi)
    tgk = pow(2, xi * xr, OAKLEY_5).to_bytes(192)
    teks = sessions(vector, tgk, found["csb_id"], found["rand"], i_message[8])
    return {**found, "dhi": dhi, "dhr": dhr, "tgk": tgk, "sessions": teks}


def dh_sign(vector: dict[str, str], i_message: bytes, r_message: bytes) -> dict[str, object]:
    for message in (i_message, r_message):
        signature = body(message, 4)[2:]
        check_signature(certificate_key(message), signature, message[: -len(signature)])
    return diffie_hellman(vector, i_message, r_message)


def dhhmac(vector: dict[str, str], i_message: bytes, r_message: bytes) -> dict[str, object]:
    found = diffie_hellman(vector, i_message, r_message)
    csb_id, rand = found["csb_id"], found["rand"]
    assert isinstance(csb_id, bytes)
    assert isinstance(rand, bytes)
    auth_key = message_keys(vector, bytes.fromhex(vector["psk"]), csb_id, rand)["auth_key"]
    size = {"HMAC-SHA-1-160": 20, "HMAC-SHA-256-256": 32}[vector["mac_alg"]]
    for message in (i_message, r_message):
        assert mac_of(vector, auth_key, message[:-size]) == message[-size:]
    return {**found, "auth_key": auth_key, "i_mac": i_message[-size:], "r_mac": r_message[-size:]}
