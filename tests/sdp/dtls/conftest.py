from __future__ import annotations

import pytest

from sdp.dtls import DtlsCertificate


@pytest.fixture(scope="session")
def alice() -> DtlsCertificate:
    return DtlsCertificate.generate()


@pytest.fixture(scope="session")
def bob() -> DtlsCertificate:
    return DtlsCertificate.generate()


@pytest.fixture(scope="session")
def mallory() -> DtlsCertificate:
    return DtlsCertificate.generate()
