"""What protects KEMAC and V: encryption of the key data, and MACs (RFC 3830 4.2.3, 4.2.4, RFC 6043 6.2)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from srtp import SecretBytes
from srtp.field_checks import as_member

from ..errors import MikeyRefusedError
from .code_points import EncryptionAlgorithm, ErrorNumber, MacAlgorithm
from .prf import MESSAGE_AUTHENTICATION_KEY, MESSAGE_ENCRYPTION_KEY, MESSAGE_SALT_KEY, KeyDerivation

_KEY_LENGTHS = {
    EncryptionAlgorithm.AES_CM_128: 16,
    EncryptionAlgorithm.AES_KW_128: 16,
    EncryptionAlgorithm.AES_CM_256: 32,
}
_DIGESTS = {MacAlgorithm.HMAC_SHA_1_160: hashlib.sha1, MacAlgorithm.HMAC_SHA_256_256: hashlib.sha256}
_CM_SALT_LENGTH = 14
_KW_SALT_LENGTH = 8


@dataclass(frozen=True, slots=True)
class MessageKeys:
    """The pre-shared or envelope key of an exchange, with what its message keys are derived from."""

    derivation: KeyDerivation
    key: SecretBytes

    def encrypt(self, algorithm: EncryptionAlgorithm, timestamp: bytes, data: bytes) -> bytes:
        """Encrypts key data; `timestamp` is the 64-bit T of the message.

        AES key wrap takes whole blocks of 8 bytes, at least 2: raises MikeyRefusedError for other lengths.
        """
        algorithm = as_member(EncryptionAlgorithm, algorithm, "algorithm")
        if algorithm is EncryptionAlgorithm.NULL:
            return data
        if algorithm is EncryptionAlgorithm.AES_KW_128:
            if len(data) < 16 or len(data) % 8:
                raise MikeyRefusedError(
                    ErrorNumber.INVALID_EA, f"AES key wrap cannot take {len(data)} bytes of key data"
                )
            return _wrap(self._encryption_key(algorithm), self._salt(_KW_SALT_LENGTH), data)
        return self._counter_mode(algorithm, timestamp, data)

    def decrypt(self, algorithm: EncryptionAlgorithm, timestamp: bytes, data: bytes) -> bytes:
        """Decrypts key data; raises MikeyRefusedError when AES key wrap finds it damaged."""
        algorithm = as_member(EncryptionAlgorithm, algorithm, "algorithm")
        if algorithm is EncryptionAlgorithm.NULL:
            return data
        if algorithm is EncryptionAlgorithm.AES_KW_128:
            return _unwrap(self._encryption_key(algorithm), self._salt(_KW_SALT_LENGTH), data)
        return self._counter_mode(algorithm, timestamp, data)

    def mac(self, algorithm: MacAlgorithm, data: bytes) -> bytes:
        """Returns the MAC of `data`, empty for NULL."""
        algorithm = as_member(MacAlgorithm, algorithm, "algorithm")
        if algorithm is MacAlgorithm.NULL:
            return b""
        digest = _DIGESTS[algorithm]
        key = self.derivation.from_message_key(self.key, MESSAGE_AUTHENTICATION_KEY, digest().digest_size)
        return hmac.digest(bytes(key), data, digest)

    def _encryption_key(self, algorithm: EncryptionAlgorithm) -> bytes:
        length = _KEY_LENGTHS[algorithm]
        return bytes(self.derivation.from_message_key(self.key, MESSAGE_ENCRYPTION_KEY, length))

    def _salt(self, length: int) -> bytes:
        return bytes(self.derivation.from_message_key(self.key, MESSAGE_SALT_KEY, length))

    def _counter_mode(self, algorithm: EncryptionAlgorithm, timestamp: bytes, data: bytes) -> bytes:
        mask = bytes(2) + self.derivation.csb_id.to_bytes(4) + timestamp
        salted = int.from_bytes(self._salt(_CM_SALT_LENGTH)) ^ int.from_bytes(mask)
        counter = salted.to_bytes(_CM_SALT_LENGTH) + bytes(2)
        stream = Cipher(algorithms.AES(self._encryption_key(algorithm)), modes.CTR(counter)).encryptor()
        return stream.update(data) + stream.finalize()


def _wrap(key: bytes, iv: bytes, data: bytes) -> bytes:
    """AES key wrap (RFC 3394) with an initial value of one's own, which `cryptography` does not offer."""
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305  # single blocks, as RFC 3394 says
    a = iv
    blocks = [data[start : start + 8] for start in range(0, len(data), 8)]
    for step in range(6):
        for place, one in enumerate(blocks):
            out = block.update(a + one)
            counter = len(blocks) * step + place + 1
            a = (int.from_bytes(out[:8]) ^ counter).to_bytes(8)
            blocks[place] = out[8:]
    return a + b"".join(blocks)


def _unwrap(key: bytes, iv: bytes, wrapped: bytes) -> bytes:
    if len(wrapped) < 24 or len(wrapped) % 8:
        raise MikeyRefusedError(ErrorNumber.AUTH_FAILURE, "the wrapped key data has no possible length")
    block = Cipher(algorithms.AES(key), modes.ECB()).decryptor()  # noqa: S305  # as in _wrap
    a = wrapped[:8]
    blocks = [wrapped[start : start + 8] for start in range(8, len(wrapped), 8)]
    for step in reversed(range(6)):
        for place in reversed(range(len(blocks))):
            counter = len(blocks) * step + place + 1
            out = block.update((int.from_bytes(a) ^ counter).to_bytes(8) + blocks[place])
            a, blocks[place] = out[:8], out[8:]
    if not hmac.compare_digest(a, iv):
        raise MikeyRefusedError(ErrorNumber.AUTH_FAILURE, "the wrapped key data does not authenticate")
    return b"".join(blocks)
