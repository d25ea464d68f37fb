"""The authority that loopback peers and we trust each other by, in the form that they want their files in."""

from __future__ import annotations

from pathlib import Path

from securertc.demo.throwaway_authority import ThrowawayAuthority


class TestAuthority:
    """Writes `ca.pem` into a directory, which is made if need be; `issue` puts the files of a name beside it."""

    __test__ = False  # not a test class, whatever its name looks like to pytest

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._authority = ThrowawayAuthority(directory, name="interop test authority")
        self.ca_path = self._authority.certificate_path

    def issue(self, name: str) -> Path:
        """Writes NAME.crt, NAME.key and NAME.pem (both in one), once, and returns the path of the last.

        The certificate is good for 127.0.0.1 and for the SIP domains localhost, NAME and NAME.test.
        """
        both = self.directory / f"{name}.pem"
        if not both.exists():
            domains = ("localhost", name, f"{name}.test")
            issued = self._authority.issue(name, sip_domains=domains, addresses=("127.0.0.1",))
            both.write_bytes(issued.certificate_path.read_bytes() + issued.key_path.read_bytes())
        return both
