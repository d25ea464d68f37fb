"""kamailio as a peer: registrar and record-routing proxy with Digest, on UDP, TCP and TLS."""

from __future__ import annotations

import shutil
from pathlib import Path

from .authority import TestAuthority
from .process import PeerError, PeerProcess, free_ports

CONFIGURATION = Path(__file__).with_name("kamailio.cfg")
REALM = "peers.test"
PASSWORDS = {"alice": "alicepw", "bob": "bobpw", "carol": "carolpw"}

_TLS = """\
[server:default]
method = TLSv1.2+
verify_certificate = {wanted}
require_certificate = {wanted}
private_key = {directory}/kamailio.key
certificate = {directory}/kamailio.crt
ca_list = {ca}

[client:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
private_key = {directory}/kamailio.key
certificate = {directory}/kamailio.crt
ca_list = {ca}
"""


class Kamailio(PeerProcess):
    """A registrar and proxy for peers.test; its certificate is good for 127.0.0.1 and kamailio.test.

    `algorithm` is the Digest algorithm it challenges with: MD5 or SHA-256. With `websocket` the TCP port speaks WS too,
    and the TLS port WSS. With `outbound` it insists on flows that user agents keep open (RFC 5626), and asks to be
    pinged each second. `peer_port` is where TLS connections to every other domain go; then it shows a certificate of
    peers.test and wants one from whoever connects.
    """

    def __init__(
        self,
        directory: Path,
        authority: TestAuthority,
        *,
        algorithm: str = "MD5",
        websocket: bool = False,
        outbound: bool = False,
        peer_port: int | None = None,
    ) -> None:
        self.port = free_ports(2)
        self.tls_port = self.port + 1
        directory.mkdir(parents=True, exist_ok=True)
        # kamailio refuses to read what its own user may not: it gets copies in its own directory.
        certificate = authority.issue("kamailio" if peer_port is None else REALM.partition(".")[0])
        for suffix in (".crt", ".key"):
            shutil.copy(certificate.with_suffix(suffix), directory / f"kamailio{suffix}")
        tls = directory / "tls.cfg"
        wanted = "no" if peer_port is None else "yes"
        tls.write_text(_TLS.format(directory=directory, ca=authority.ca_path, wanted=wanted))
        text = CONFIGURATION.read_text()
        for mark, value in {
            "MODULES": str(_modules()),
            "DIRECTORY": str(directory),
            "TLSPORT": str(self.tls_port),
            "PEERPORT": str(peer_port),
            "PORT": str(self.port),
        }.items():
            text = text.replace(f"@{mark}@", value)
        path = directory / "kamailio.cfg"
        path.write_text(text)
        command = ["kamailio", "-f", str(path), "-DD", "-E", "-m", "64", "-M", "8", "-w", str(directory)]
        command += ["-Y", str(directory), "-P", str(directory / "kamailio.pid")]
        if algorithm == "SHA-256":
            command += ["-A", "WITH_SHA256"]
        if websocket:
            command += ["-A", "WITH_WS"]
        if peer_port is not None:
            command += ["-A", "WITH_PEER"]
        if outbound:
            command += ["-A", "WITH_OUTBOUND"]
        super().__init__(command, directory, name="kamailio")

    def start(self) -> None:
        super().start()
        self.await_tcp_port(self.tls_port)


def _modules() -> Path:
    found = sorted(Path("/usr").glob("lib*/**/kamailio/modules"))
    if not found:
        raise PeerError("kamailio's modules are not where Debian puts them")
    return found[0]
