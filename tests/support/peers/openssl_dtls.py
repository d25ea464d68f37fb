"""openssl s_client and s_server as DTLS-SRTP peers: they show their certificate and print what they export."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from .process import LOOPBACK, PeerProcess, free_ports

EXPORTER = ["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen"]


class OpensslDtls(PeerProcess):
    """One side of a handshake on `port`, with a self-signed certificate of its own.

    `certificate` is that in DER. As client (`server_port` given) it sends its ClientHello there at once.
    """

    def __init__(
        self,
        directory: Path,
        *,
        profiles: str,
        length: int,
        server_port: int | None = None,
        key: str = "ec",
        with_certificate: bool = True,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_ports(1)
        self.certificate = make_certificate(directory, key)
        shown = ["-cert", "certificate.pem", "-key", "key.pem"] if with_certificate else []
        if server_port is None:
            command = ["openssl", "s_server", "-accept", f"{LOOPBACK}:{self.port}", "-Verify", "1", *shown]
        else:
            command = [
                "openssl",
                "s_client",
                "-connect",
                f"{LOOPBACK}:{server_port}",
                "-bind",
                f"{LOOPBACK}:{self.port}",
            ]
            command += shown
        command += ["-dtls1_2", "-use_srtp", profiles, *EXPORTER, str(length)]
        super().__init__(command, directory, name="openssl", keep_stdin_open=True)

    def exported(self) -> tuple[str, bytes]:
        """Waits for the end of the handshake; returns the profile that openssl names, and the keying material."""
        self.await_log("Keying material: ")
        material = re.search(r"Keying material: ([0-9A-F]+)\s", self.log)
        profile = re.search(r"SRTP Extension negotiated, profile=(\S+)", self.log)
        assert material is not None, self.log
        assert profile is not None, self.log
        return profile[1], bytes.fromhex(material[1])


def make_certificate(directory: Path, key: str) -> bytes:
    """Makes certificate.pem and key.pem by openssl itself; returns the certificate in DER."""
    algorithm = ["rsa:2048"] if key == "rsa" else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command = ["openssl", "req", "-x509", "-newkey", *algorithm, "-nodes", "-subj", "/CN=peer", "-days", "2"]
    run = {"cwd": directory, "check": True, "capture_output": True}
    subprocess.run([*command, "-keyout", "key.pem", "-out", "certificate.pem"], **run)  # type: ignore[call-overload]
    done = subprocess.run(["openssl", "x509", "-in", "certificate.pem", "-outform", "DER"], **run)  # type: ignore[call-overload]
    return bytes(done.stdout)
