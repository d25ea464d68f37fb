"""The messages of RFC 5118: IPv6 in SIP, each with the outcome that its section gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from sip import Request, SipParseError, parse_message
from sip.discovery.target import response_address, target_of


@dataclass(frozen=True)
class Outcome:
    """What the RFC says of a message: the `section`, the `status` if it is to be refused, and what `holds` of it."""

    section: str
    status: int | None = None
    holds: Callable[[Request], bool] = lambda _: True


def hosts(request: Request) -> list[str]:
    return [via.host for via in request.vias]


def lines(request: Request, kind: str) -> list[str]:
    return [line[2:] for line in request.body.decode().split("\r\n") if line.startswith(f"{kind}=")]


OUTCOMES = {
    "ipv6-good": Outcome(
        "4.1", holds=lambda it: (it.uri.host, it.contacts[0].uri.host) == ("[2001:db8::10]", "[2001:db8::1]")
    ),
    "ipv6-bad": Outcome("4.2", status=400),
    # Well formed, and not what was meant: 5070 is a part of the address.
    "port-ambiguous": Outcome("4.3", holds=lambda it: (it.uri.host, it.uri.port) == ("[2001:db8::10:5070]", None)),
    "port-unambiguous": Outcome("4.4", holds=lambda it: (it.uri.host, it.uri.port) == ("[2001:db8::10]", 5070)),
    # With or without brackets the response goes to the same address.
    "via-received-param-with-delim": Outcome(
        "4.5", holds=lambda it: response_address(it.top_via) == ("2001:db8::9:255", 5060)
    ),
    "via-received-param-no-delim": Outcome(
        "4.5", holds=lambda it: response_address(it.top_via) == ("2001:db8::9:255", 5060)
    ),
    "ipv6-in-sdp": Outcome("4.6", holds=lambda it: lines(it, "c") == ["IN IP6 2001:db8::20"]),
    "mult-ip-in-header": Outcome(
        "4.7", holds=lambda it: hosts(it) == ["[2001:db8::9:1]", "192.0.2.1", "[2001:db8::9:255]"]
    ),
    "mult-ip-in-sdp": Outcome("4.8", holds=lambda it: lines(it, "c") == ["IN IP4 192.0.2.1", "IN IP6 2001:db8::1"]),
    "ipv4-mapped-ipv6": Outcome(
        "4.9",
        holds=lambda it: (
            hosts(it) == ["[::ffff:192.0.2.10]", "[::ffff:192.0.2.2]"]
            and it.top_via.port == 19823
            and it.contacts[0].uri.host == "[::ffff:192.0.2.2]"
            and lines(it, "c") == ["IN IP6 ::ffff:192.0.2.2"]
        ),
    ),
    # The third colon is tolerated, and does not reach the network.
    "ipv6-bug-abnf-3-colons": Outcome("4.10", holds=lambda it: target_of(it.uri).host == "2001:db8::c000:201"),
    "ipv6-correct-abnf-2-colons": Outcome("4.10", holds=lambda it: target_of(it.uri).host == "2001:db8::c000:201"),
}


def test_every_message_has_an_outcome(shared_vectors):
    assert len(OUTCOMES) == 12
    assert {path.name for path in (shared_vectors / "rfc5118").iterdir()} == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome(shared_vectors, name):
    # The archive has bare line feeds, ends before the empty line, and has Content-Lengths of another line ending.
    data = (shared_vectors / "rfc5118" / name).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    head, _, body = data.partition(b"\r\n\r\n")
    rows = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"content-length")]
    data = b"\r\n".join([*rows, b"Content-Length: %d" % len(body), b"", body])
    outcome = OUTCOMES[name]
    if outcome.status is not None:
        with pytest.raises(SipParseError) as error:
            parse_message(data)
        assert error.value.status == outcome.status
        assert error.value.request.create_response(outcome.status).serialize()
        return
    message = parse_message(data)
    assert outcome.holds(message)
    assert outcome.holds(parse_message(message.serialize()))
