"""Requests that carry something of the application's: INFO within a call (RFC 6086), MESSAGE outside (RFC 3428)."""

from __future__ import annotations

from dataclasses import dataclass

from sip import Request
from sip.message import Response


@dataclass(frozen=True, slots=True)
class Info:
    """What an INFO brought; `package` is its Info-Package, None for the kind before RFC 6086."""

    body: bytes
    content_type: str | None
    package: str | None


@dataclass(frozen=True, slots=True)
class TextMessage:
    """What a MESSAGE brought. `sender` is its From, which nothing has proven."""

    sender: str
    body: bytes
    content_type: str | None


def info_of(request: Request, packages: frozenset[str]) -> Info | Response:
    """Returns what an INFO brings, or the 469 of RFC 6086 4.2.2 that refuses a package nobody here understands."""
    package = request.headers.get("Info-Package")
    if package is not None:
        package = package.partition(";")[0].strip()
    if package is not None and package.lower() not in packages:
        response = request.create_response(469, "Bad Info Package")
        response.headers.add("Recv-Info", ", ".join(sorted(packages)))
        return response
    return Info(request.body, request.content_type, package)
