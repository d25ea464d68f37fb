"""The parties that the tests of MIKEY share, because RSA keys take their time."""

from __future__ import annotations

import pytest
from mikey_parties import Pair, RsaAuthority


@pytest.fixture(scope="session")
def pair() -> Pair:
    authority = RsaAuthority("MIKEY test authority")
    return Pair(authority.issue("sip:alice@example.com"), authority.issue("sip:bob@example.com"), authority)


@pytest.fixture(scope="session")
def stranger_authority() -> RsaAuthority:
    return RsaAuthority("another authority")
