"""Damages SIP messages, streams, URIs, header values, Digest challenges and what makes dialogs: only SipError may
come out.

Run by hand: python tests/fuzz/fuzz_sip.py [SECONDS [SEED]]. A finding is printed with its input and ends the run
with status 1.
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from damage import fuzz

from sip import (
    AuthParameters,
    Credentials,
    CSeq,
    DigestClient,
    DigestError,
    DigestServer,
    NameAddr,
    Request,
    SipError,
    SipParseError,
    SipUri,
    StreamParser,
    Via,
    parse_message,
    parse_uri,
)
from sip.dialog.dialog import Dialog, request_dialog_id
from sip.discovery.target import add_received, next_hop, response_address, target_of
from sip.message.parser import DEFAULT_LIMITS, _parse_unusual_head, parse_head
from sip.transaction.server import server_key
from sip.user_agent.request_validation import refuse_request

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "vectors"
PIECES = [b"\r\n", b"\r\n\r\n", b"\0", b'"', b"\\", b"<", b">", b",", b";", b":", b"@", b"%", b"%00", b"=", b"[", b"]"]
PIECES += [
    b"(",
    b")",
    b"*",
    b"?",
    b" ",
    b"\t",
    b"\xff",
    b"\xc3\xa9",
    b"-1",
    b"99999999999999999999",
    b"SIP/2.0",
    b"\x01",
]
PIECES += ["²".encode(), "\u2028".encode(), b"\x85", b"Content-Length: ", b"l:", b"To:", b"Via:", b"z9hG4bK"]
PLAIN = (
    b"OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bK1;rport\r\n"
    b'Max-Forwards: 70\r\nFrom: "A \\" B" <sip:a@example.com>;tag=1\r\nTo: sip:b@example.com;tag=2\r\nCall-ID: c\r\n'
    b"CSeq: 1 OPTIONS\r\nContact: <sip:a@192.0.2.1;ob>;q=0.5\r\nRoute: <sip:p;lr>\r\nRequire: x\r\n"
    b'Authorization: Digest username="a", realm="r", nonce="n", uri="sip:b", response="0", qop=auth, nc=00000001\r\n'
    b"Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc"
)
VALUES = [
    b"sips:alice:pw@example.com:5061;transport=tls;lr?subject=x&to=y",
    b"tel:+1-201-555-0123;phone-context=x",
    b'"A \\" B" <sip:a@[::1]:5060;x=%41>;tag=1;q=0.3',
    b"SIP / 2.0 / UDP host.example ; branch = z9hG4bK1 ;received=192.0.2.1",
    b"4711 INVITE",
    b'Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=SHA-256, opaque="\\"", userhash=true',
]

CHALLENGES = [
    b'Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=SHA-256, opaque="\\"", userhash=true',
    b'Digest realm="r", nonce="n", stale=true\nDigest realm="x", nonce="m", algorithm=MD5, qop="auth-int"',
    b'Digest realm="r", domain="sip:x", nonce="a\\\\b", algorithm=SHA-512-256, qop=auth',
]


def check_message(data: bytes) -> None:
    try:
        message = parse_message(data)
    except SipParseError as error:
        if error.request is not None:
            answer = error.request.create_response(error.status)
            answer.serialize()
        return
    again = parse_message(message.serialize())
    assert again.body == message.body
    assert again.call_id == message.call_id
    assert str(again.from_) == str(message.from_)
    if isinstance(message, Request):
        refuse_request(message, allowed=frozenset(("INVITE",)), body_types=frozenset())
        parse_message(message.create_response(404).serialize())
        server = DigestServer.with_passwords("r", {"a": "p"}, clock=time.time)
        server.check(message)
        server_key(message)
        request_dialog_id(message)
        response_address(add_received(message.top_via, "192.0.2.9", 5060))
        check_dialog(message)


def check_dialog(request: Request) -> None:
    """What an INVITE makes at the callee, and a 200 with its fields at the caller, can be ended or is refused."""
    answer = request.create_response(200)
    for value in request.headers.get_all("Contact"):
        answer.headers.add("Contact", value)
    for make in (Dialog.of_callee, Dialog.of_caller):
        with contextlib.suppress(SipError):
            dialog = make(request, answer, secure=True)
            bye = dialog.create_request("BYE")
            bye.headers.prepend("Via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKf")
            parse_message(bye.serialize())
            target_of(next_hop(bye))
            dialog.receive_request(request)


def check_challenge(data: bytes) -> None:
    """An answer is one that our own server can read, whatever the challenge was."""
    request = parse_message(PLAIN)
    assert isinstance(request, Request)
    with contextlib.suppress(SipError):
        challenge = request.create_response(401)
        for row in data.decode("utf-8", "replace").split("\n"):
            challenge.headers.add("WWW-Authenticate", row)
        client = DigestClient((Credentials("r", "a", "p"),))
        request.headers.remove("To")
        request.headers.add("To", "<sip:b@example.com>")
        request.headers.remove("Authorization")
        client.authorize(request, challenge)
        again = parse_message(request.serialize())
        assert AuthParameters.parse(again.headers.get("Authorization") or "").get("realm") == "r"
        with contextlib.suppress(DigestError):
            client.authorize(request, challenge)


def check_head(data: bytes) -> None:
    """The compiled scanner and the parser in Python agree."""
    found = []
    for parse in (parse_head, lambda head: _parse_unusual_head(head, DEFAULT_LIMITS)):
        try:
            message = parse(data.partition(b"\r\n\r\n")[0])
            found.append((message, message.vias, message.from_, message.to, message.cseq, message.contact_values))
        except SipParseError as error:
            found.append((error.status, error.header, error.reason))
    assert found[0] == found[1]


def check_stream(data: bytes) -> None:
    """Cut anywhere or not at all, a stream gives the same."""
    data = b"\r\n\r\n" + PLAIN + data + PLAIN
    whole, pieces = [], []
    for found, size in ((whole, len(data)), (pieces, len(data) % 37 + 1)):
        parser = StreamParser()
        try:
            for start in range(0, len(data), size):
                found += [repr(one) for one in parser.feed(data[start : start + size])]
        except SipParseError as error:
            found += [repr(one) for one in error.parsed]
            found.append(f"{error.status} {error.header}")
    assert whole == pieces


def check_values(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for parse in (parse_uri, SipUri.parse, NameAddr.parse, Via.parse, CSeq.parse):
        with contextlib.suppress(SipParseError):
            value = parse(text)
            assert parse(str(value)) == value, (value, parse(str(value)))
    with contextlib.suppress(SipParseError):
        AuthParameters.parse(text)


def corpus() -> list[bytes]:
    files = sorted(path for name in ("rfc4475", "rfc5118") for path in (CORPUS / name).glob("*"))
    return [PLAIN, *(path.read_bytes() for path in files)]


if __name__ == "__main__":
    assert len(StreamParser().feed(PLAIN)) == 1  # or else the streams around it would end before the damage
    messages = corpus()
    checks = [(check, messages) for check in (check_message, check_head, check_stream)]
    checks += [(check_values, VALUES), (check_challenge, CHALLENGES)]
    sys.exit(fuzz(checks, PIECES, sys.argv[1:]))
