"""GStreamer's MIKEY by way of its library libgstsdp: run as a program of its own, as it is C that reads our bytes.

python gstreamer_mikey.py parse HEX: prints JSON with what it found, and `again`, the message as it writes it.
python gstreamer_mikey.py make KEYHEX SALTHEX SSRC: prints JSON with `message`, a PSK message without encryption.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint8, c_uint16, c_uint32, c_void_p
from pathlib import Path
from typing import Any

# Run as a program, this file's folder is on the path, and the package is not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from peers.process import PeerError

_KEMAC, _SP, _KEY_DATA = 1, 10, 20


def gstreamer(*arguments: str) -> dict[str, Any]:
    """Runs this file as a program and returns what it prints; raises PeerError with its reason, or none in 20 s."""
    command = [sys.executable, __file__, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        raise PeerError("GStreamer did not come to an end") from None
    if done.returncode:
        raise PeerError(done.stderr.strip() or f"GStreamer ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class _Library:
    """The functions of libgstsdp by their names, with the types of their arguments."""

    def __init__(self) -> None:
        self.glib = ctypes.CDLL("libglib-2.0.so.0")
        self.sdp = ctypes.CDLL("libgstsdp-1.0.so.0")
        ctypes.CDLL("libgstreamer-1.0.so.0").gst_init(None, None)

    def call(self, name: str, result: Any, types: tuple[Any, ...], *arguments: Any) -> Any:
        function = getattr(self.sdp, f"gst_mikey_{name}")
        function.restype, function.argtypes = result, types
        return function(*arguments)

    def serialize(self, message: c_void_p) -> bytes:
        blob = self.call("message_to_bytes", c_void_p, (c_void_p,) * 3, message, None, None)
        if not blob:
            raise SystemExit("GStreamer cannot write the message")
        get = self.glib.g_bytes_get_data
        get.restype, get.argtypes = c_void_p, (c_void_p, POINTER(c_size_t))
        size = c_size_t()
        start = get(blob, byref(size))
        return ctypes.string_at(start, size.value)

    def parse(self, data: bytes) -> dict[str, Any]:
        types = (c_char_p, c_size_t, c_void_p, c_void_p)
        message = self.call("message_new_from_data", c_void_p, types, data, len(data), None, None)
        if not message:
            raise SystemExit("GStreamer refuses the message")
        count = self.call("message_get_n_payloads", ctypes.c_uint, (c_void_p,), message)
        sessions = self.call("message_get_n_cs", ctypes.c_uint, (c_void_p,), message)
        payload = (c_void_p, ctypes.c_uint)
        # A payload starts with GstMiniObject: 8 words on 64 bits; its type stands behind.
        kinds = [
            c_int.from_address(self.call("message_get_payload", c_void_p, payload, message, place) + 64).value
            for place in range(count)
        ]
        return {"payloads": kinds, "sessions": sessions, "again": self.serialize(message).hex()}

    def make(self, key: bytes, salt: bytes, ssrc: int) -> bytes:
        message = self.call("message_new", c_void_p, ())
        types: tuple[Any, ...] = (c_void_p, c_uint8, c_int, c_int, c_int, c_uint32, c_int)
        self.call("message_set_info", c_int, types, message, 1, 0, 0, 0, 0xCAFEBABE, 0)
        self.call("message_add_cs_srtp", c_int, (c_void_p, c_uint8, c_uint32, c_uint32), message, 0, ssrc, 0)
        self.call("message_add_t_now_ntp_utc", c_int, (c_void_p,), message)
        self.call("message_add_rand", c_int, (c_void_p, c_uint8, c_char_p), message, 16, bytes(range(16)))
        policy = self._payload(_SP)
        self.call("payload_sp_set", c_int, (c_void_p, ctypes.c_uint, c_int), policy, 0, 0)
        for kind, value in ((0, 1), (1, 16), (2, 1), (3, 10), (7, 1), (8, 1), (10, 1)):
            types = (c_void_p, c_uint8, c_uint8, c_char_p)
            self.call("payload_sp_add_param", c_int, types, policy, kind, 1, bytes((value,)))
        self._add(message, policy)
        sub = self._payload(_KEY_DATA)
        self.call("payload_key_data_set_key", c_int, (c_void_p, c_int, c_uint16, c_char_p), sub, 2, len(key), key)
        if salt:
            self.call("payload_key_data_set_salt", c_int, (c_void_p, c_uint16, c_char_p), sub, len(salt), salt)
        kemac = self._payload(_KEMAC)
        self.call("payload_kemac_set", c_int, (c_void_p, c_int, c_int), kemac, 0, 0)
        self.call("payload_kemac_add_sub", c_int, (c_void_p, c_void_p), kemac, sub)
        self._add(message, kemac)
        return self.serialize(message)

    def _payload(self, kind: int) -> c_void_p:
        made: c_void_p = self.call("payload_new", c_void_p, (c_int,), kind)
        return made

    def _add(self, message: c_void_p, payload: c_void_p) -> None:
        self.call("message_add_payload", c_int, (c_void_p, c_void_p), message, payload)


def main(arguments: list[str]) -> None:
    library = _Library()
    if arguments[0] == "parse":
        print(json.dumps(library.parse(bytes.fromhex(arguments[1]))))
    else:
        key, salt, ssrc = bytes.fromhex(arguments[1]), bytes.fromhex(arguments[2]), int(arguments[3])
        print(json.dumps({"message": library.make(key, salt, ssrc).hex()}))


if __name__ == "__main__":
    main(sys.argv[1:])
