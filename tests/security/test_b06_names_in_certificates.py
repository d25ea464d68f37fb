"""Names in certificates are compared by ASCII rules: what only Unicode takes for the same is another name."""

from __future__ import annotations

import pytest
from certificates import certificate
from cryptography import x509

from sip import TlsVerificationError
from sip.digest.calculation import canonical_algorithm
from sip.transport.flow import Flow
from sip.transport.tls import verify_identity

# KELVIN SIGN, LATIN SMALL LETTER LONG S, fullwidth, dotted and dotless i, sharp s, ligature, the ideographic full stop.
LOOK_ALIKES = [
    ("ban\u212a.example", "bank.example"),
    ("BAN\u212a.EXAMPLE", "bank.example"),
    ("\u017fip.example", "sip.example"),
    ("\uff42ank.example", "bank.example"),
    ("s\u0130p.example", "sip.example"),
    ("s\u0131p.example", "sip.example"),
    ("stra\u00dfe.example", "strasse.example"),
    ("o\ufb03ce.example", "office.example"),
    ("bank\u3002example", "bank.example"),
    ("bank.example\x00", "bank.example"),
    ("bank.example\u200b", "bank.example"),
    ("[bank.example]", "bank.example"),
    (" bank.example", "bank.example"),
]


class Peer(Flow):
    closed, local = False, ("", 0)

    def __init__(self, shown):
        self.certificate = shown

    def send(self, data):
        pass


@pytest.mark.parametrize("wildcards", [False, True])
@pytest.mark.parametrize(("shown", "name"), LOOK_ALIKES)
def test_another_name_proves_nothing(shown, name, wildcards):
    made = certificate(shown)
    with pytest.raises(TlsVerificationError):
        verify_identity(made, name, allow_wildcards=wildcards)
    assert not Peer(made).proves(name)


@pytest.mark.parametrize(("shown", "name"), LOOK_ALIKES[:2])
def test_nor_does_it_behind_a_wildcard(shown, name):
    with pytest.raises(TlsVerificationError):
        verify_identity(certificate(f"*.{shown}"), f"sip.{name}", allow_wildcards=True)


@pytest.mark.parametrize(("name", "asked"), LOOK_ALIKES[:6])
def test_nor_is_such_a_name_asked_for(name, asked):
    """The certificate is for the plain name, and the look-alike is not."""
    with pytest.raises(TlsVerificationError):
        verify_identity(certificate(asked), name)


@pytest.mark.parametrize(
    "names",
    [
        (x509.DNSName("BANK.example"),),
        (x509.UniformResourceIdentifier("sip:Bank.Example"),),
        (x509.DNSName("bank.example."),),
        (),
    ],
)
@pytest.mark.parametrize("name", ["bank.example", "BANK.example", "bank.example."])
def test_ascii_letters_are_the_same_in_both_cases(names, name):
    assert verify_identity(certificate("BANK.Example", *names), name)


def test_so_are_algorithms():
    assert canonical_algorithm("sha-256") == "SHA-256"
    assert canonical_algorithm("\u017fha-256") is None
