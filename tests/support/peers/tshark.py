"""Wireshark's dissector, of MIKEY over UDP: what it makes of a message."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

from .process import PeerError

MIKEY_PORT = 2269


def capture(messages: list[bytes], path: Path) -> Path:
    """Writes a capture file with one UDP datagram to MIKEY's port for each message (raw IPv4, no link layer)."""
    pieces = [struct.pack("!IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)]
    for message in messages:
        udp = struct.pack("!HHHH", 40000, MIKEY_PORT, 8 + len(message), 0) + message
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\1")
        pieces.append(struct.pack("!IIII", 0, 0, len(ip) + len(udp), len(ip) + len(udp)) + ip + udp)
    path.write_bytes(b"".join(pieces))
    return path


def dissect(path: Path) -> list[str]:
    """Returns tshark's text for each packet of a capture, one string a packet."""
    command = [
        "tshark",
        "-n",
        "-r",
        str(path),
        "-V",
        "-O",
        "mikey",
        "-S",
        "=-=-=",
        "-d",
        f"udp.port=={MIKEY_PORT},mikey",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise PeerError(done.stderr)
    return done.stdout.split("=-=-=")[:-1]
