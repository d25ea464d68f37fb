"""How a proxy behaves (RFC 3261 16)."""

from __future__ import annotations

from dataclasses import dataclass

from srtp.field_checks import check_fields


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """How a proxy behaves: whether it stays on the path of dialogs, and timer C (more than 180 s, 16.6 step 11)."""

    record_route: bool = True
    timer_c: float = 200.0
    proxy_require: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check_fields(self)
