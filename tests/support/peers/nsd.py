"""NSD, an authoritative name server, on loopback with zones of the test."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from .process import LOOPBACK, PeerError, PeerProcess, free_ports

_ZONE_HEAD = "$ORIGIN {name}.\n$TTL 60\n@ IN SOA ns.{name}. admin.{name}. 1 3600 600 86400 60\n@ IN NS ns.{name}.\n"


class Nsd(PeerProcess):
    """Serves `zones`, name to records in zone file text; a context manager, `port` is where it listens."""

    def __init__(self, directory: Path, zones: Mapping[str, str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_ports()
        lines = [
            "server:",
            f'  ip-address: "{LOOPBACK}@{self.port}"',
            '  username: ""',
            '  chroot: ""',
            f'  zonesdir: "{directory}"',
            f'  database: "{directory}/nsd.db"',
            f'  zonelistfile: "{directory}/zone.list"',
            f'  xfrdfile: "{directory}/xfrd.state"',
            f'  xfrdir: "{directory}"',
            f'  pidfile: "{directory}/nsd.pid"',
            "  server-count: 1",
            "  rrl-ratelimit: 0",
            "remote-control:",
            "  control-enable: no",
        ]
        for name, records in zones.items():
            (directory / f"{name}.zone").write_text(_ZONE_HEAD.format(name=name) + records)
            lines += ["zone:", f'  name: "{name}"', f'  zonefile: "{name}.zone"']
        configuration = directory / "nsd.conf"
        configuration.write_text("\n".join(lines) + "\n")
        super().__init__(["nsd", "-d", "-c", str(configuration)], directory, name="nsd")
        self._zone = next(iter(zones))

    def await_answers(self, *, seconds: float = 10.0) -> None:
        """Returns once it answers questions; raises PeerError with its log if it does not."""
        question = dns.message.make_query(self._zone, "SOA")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.running:
            try:
                dns.query.udp(question, LOOPBACK, timeout=0.2, port=self.port)
            except (dns.exception.Timeout, OSError):
                time.sleep(0.05)
            else:
                return
        raise PeerError(f"nsd does not answer:\n{self.log[-3000:]}")
