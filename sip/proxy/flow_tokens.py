"""Names for flows, which a proxy puts into Record-Route and gets back in Route (RFC 5626 5.2)."""

from __future__ import annotations

import hmac
import secrets

from ..transport.layer import Flow, TransportLayer


class FlowTokens:
    """Tokens of flows, which nobody can guess or make.

    That of a connection is random, and good while the connection stands; that of a UDP flow is the peer's address,
    sealed by `key`.
    """

    def __init__(self, transports: TransportLayer, key: bytes) -> None:
        self._transports = transports
        self._key = key
        self._flows: dict[str, Flow] = {}
        self._tokens: dict[Flow, str] = {}

    def __len__(self) -> int:
        return len(self._flows)

    def token_of(self, flow: Flow) -> str:
        """Returns the token of a flow, the same each time."""
        if not flow.reliable:
            address = f"{flow.remote[0]}|{flow.remote[1]}".encode().hex()
            return f"u{address}~{self._seal(address)}"
        token = self._tokens.get(flow)
        if token is None:
            token = self._tokens[flow] = f"c{secrets.token_hex(12)}"
            self._flows[token] = flow
        return token

    def flow_of(self, token: str) -> Flow | None:
        """Returns the flow with a token, None when it is gone or the token is not ours."""
        if not token.startswith("u"):
            flow = self._flows.get(token)
            return None if flow is None or flow.closed else flow
        address, _, seal = token[1:].partition("~")
        if not hmac.compare_digest(self._seal(address).encode(), seal.encode("utf-8", "replace")):
            return None
        host, _, port = bytes.fromhex(address).decode().rpartition("|")
        return self._transports.udp_flow((host, int(port)))

    def forget(self, flow: Flow) -> None:
        """Takes note that a connection is closed."""
        token = self._tokens.pop(flow, None)
        if token is not None:
            del self._flows[token]

    def _seal(self, address: str) -> str:
        return hmac.digest(self._key, address.encode("utf-8", "surrogateescape"), "sha256")[:12].hex()
