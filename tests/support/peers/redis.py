"""A redis-server of its own for a test, on loopback, with nothing in it."""

from __future__ import annotations

from pathlib import Path

from .process import LOOPBACK, PeerProcess, free_ports


class RedisServer(PeerProcess):
    """redis-server that appends every write to a file; `url` is where it is reached."""

    def __init__(self, directory: Path) -> None:
        self.port = free_ports()
        self.url = f"redis://{LOOPBACK}:{self.port}/0"
        options = {"bind": LOOPBACK, "port": str(self.port), "save": "", "appendonly": "yes", "appendfsync": "always"}
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        super().__init__(["redis-server", *arguments], directory, name="redis")

    def start(self) -> None:
        super().start()
        self.await_tcp_port(self.port)
