"""The KeyMgmt header of RTSP (RFC 4567 3.2, 4.2)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from ..errors import KeyManagementError, named
from .key_mgmt import MIKEY, decode_key_mgmt_data

KEY_MANAGEMENT_FAILURE = 463
MAX_SPECS = 32
_PARAMETER = re.compile(r'[ \t\r\n]*([A-Za-z]{1,16})[ \t]*=[ \t]*(?:"([^"]*)"|([A-Za-z0-9]{1,64}))[ \t\r\n]*(;|,|\Z)')
_URI = re.compile(r"[!#-~]{1,2048}")


@dataclass(frozen=True, slots=True)
class KeyMgmtSpec:
    """One key-mgmt-spec: the protocol, its message, and the session or media URI that it is for.

    Without a `uri` it is for the URI of the request.
    """

    prot: str
    data: bytes
    uri: str | None = None

    def __repr__(self) -> str:
        return f"KeyMgmtSpec({named(self.prot, (MIKEY,), 'a protocol')!r}, {len(self.data)} bytes)"

    def serialize(self) -> str:
        """Returns the specification; raises KeyManagementError for a URI that cannot stand in quotes."""
        uri = ""
        if self.uri is not None:
            if not _URI.fullmatch(self.uri):
                raise KeyManagementError("the URI has characters that a URI cannot have")
            uri = f'uri="{self.uri}"; '
        return f'prot={self.prot}; {uri}data="{base64.b64encode(self.data).decode()}"'


def parse_key_mgmt_header(value: str) -> tuple[KeyMgmtSpec, ...]:
    """Parses the value of a KeyMgmt header: specifications with commas between them.

    Raises KeyManagementError when one has no `prot` or no `data`, a parameter twice or another, or there are more
    than 32.
    """
    specs: list[KeyMgmtSpec] = []
    parameters: dict[str, str] = {}
    position = 0
    while True:
        match = _PARAMETER.match(value, position)
        if match is None:
            raise KeyManagementError(f"the KeyMgmt header is malformed at character {position}")
        name, quoted, token, end = match.groups()
        if name.lower() in parameters:
            raise KeyManagementError(f"the KeyMgmt header has a parameter twice, again at character {position}")
        parameters[name.lower()] = token if quoted is None else quoted
        position = match.end()
        if end == ";" and value[position:].strip():
            continue
        specs.append(_spec(parameters))
        parameters = {}
        if len(specs) > MAX_SPECS:
            raise KeyManagementError(f"the KeyMgmt header has more than {MAX_SPECS} specifications")
        if end != ",":
            return tuple(specs)


def serialize_key_mgmt_header(specs: tuple[KeyMgmtSpec, ...]) -> str:
    """Returns the value of a KeyMgmt header."""
    return ", ".join(spec.serialize() for spec in specs)


def _spec(parameters: dict[str, str]) -> KeyMgmtSpec:
    if set(parameters) - {"prot", "uri", "data"} or not {"prot", "data"} <= set(parameters):
        raise KeyManagementError("a KeyMgmt specification is not prot, uri (or none) and data")
    uri = parameters.get("uri")
    if uri is not None and uri and not _URI.fullmatch(uri):
        raise KeyManagementError("the KeyMgmt header's URI has characters that a URI cannot have")
    # An empty URI, as ONVIF devices write it, says no more than none.
    return KeyMgmtSpec(parameters["prot"], decode_key_mgmt_data(parameters["data"]), uri or None)
