"""Security descriptions: the grammar and the validity of one `a=crypto` attribute (RFC 4568 9, 6)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import CryptoAttributeError, named
from .inline_key import InlineKey, parse_key_params
from .session_parameters import SessionParameters, parameter_name
from .suites import CRYPTO_SUITES, MAX_SRTP_LIFETIME, CryptoSuite

_SUITE = re.compile(r"[A-Za-z0-9_]{1,64}")
_TAG = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class CryptoAttribute:
    """One `a=crypto` attribute: tag, crypto suite, keys, session parameters in order and as text."""

    tag: int
    crypto_suite: str
    keys: tuple[InlineKey, ...]
    session_params: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: str) -> CryptoAttribute:
        """Parses the attribute's value (what stands behind `a=crypto:`).

        Base64 may be padded or not; white space behind the `;` between keys is taken, as the RFC's own
        example has it. Raises CryptoAttributeError, whose code names the reason, for anything the grammar
        does not allow, several keys of which one lacks an MKI, and MKIs of unequal lengths or equal values.
        What depends on the suite, and the session parameters, are looked at by check_valid().
        """
        fields = re.sub(r";[ \t]+(?=inline:)", ";", value.strip()).split()
        if len(fields) < 3:
            raise CryptoAttributeError("syntax", "tag, crypto suite and key are needed")
        tag, suite, key_params, *session_params = fields
        if not _TAG.fullmatch(tag):
            raise CryptoAttributeError("syntax", f"field 1, of {len(tag)} characters, is no tag of 1 to 9 digits")
        if not _SUITE.fullmatch(suite):
            raise CryptoAttributeError("syntax", f"field 2, of {len(suite)} characters, is no name of a crypto suite")
        if any(parameter.endswith(";") for parameter in session_params):
            raise CryptoAttributeError("syntax", "a session parameter ends in ';'")
        return cls(int(tag), suite, parse_key_params(key_params), tuple(session_params))

    def serialize(self) -> str:
        keys = ";".join(key.serialize() for key in self.keys)
        return " ".join((str(self.tag), self.crypto_suite, keys, *self.session_params))

    def __repr__(self) -> str:
        # FEC_KEY in session_params holds keys, so only the names of the parameters are shown.
        names = tuple(parameter_name(parameter) for parameter in self.session_params)
        return f"CryptoAttribute({self.subject!r}, {len(self.keys)} keys, session_params={names})"

    @property
    def subject(self) -> str:
        """What an error may call it: tag and suite, without the key."""
        return f"a=crypto:{self.tag} {named(self.crypto_suite, CRYPTO_SUITES, 'a suite')}"

    @property
    def lifetime(self) -> int | None:
        """The shortest lifetime of its keys in packets, None when none has one."""
        return min((key.lifetime for key in self.keys if key.lifetime is not None), default=None)

    def check_valid(self) -> tuple[CryptoSuite, SessionParameters]:
        """Returns suite and session parameters of a line that is valid by RFC 4568, whether supported or not.

        Raises CryptoAttributeError when the suite is unknown, a key has not its length or a lifetime over 2^48
        packets (6.1), or a session parameter is not valid (6.3).
        """
        suite = CRYPTO_SUITES.get(self.crypto_suite)
        if suite is None:
            raise CryptoAttributeError("suite", "the crypto suite is unknown")
        parameters = SessionParameters.parse(self.session_params)
        for key in (*self.keys, *parameters.fec_key):
            if len(key.key_and_salt) != suite.key_params_length:
                raise CryptoAttributeError(
                    "key-length", f"key and salt have {len(key.key_and_salt)} bytes, not {suite.key_params_length}"
                )
            if key.lifetime is not None and key.lifetime > MAX_SRTP_LIFETIME:
                raise CryptoAttributeError("lifetime", "the lifetime is longer than 2^48 packets")
        return suite, parameters


def crypto_subject(value: str) -> str:
    """What to call a line that may not even parse: its tag and suite, where they are such, and nothing else of it."""
    tag, suite = (*value.split()[:2], "", "")[:2]
    said = str(int(tag)) if _TAG.fullmatch(tag) else named(tag, ("",), "a tag")
    return "a=crypto:" + f"{said} {named(suite, (*CRYPTO_SUITES, ''), 'a suite')}".strip()
