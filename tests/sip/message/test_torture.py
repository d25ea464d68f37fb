"""The messages of RFC 4475, each with the outcome that the RFC's text gives it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sip import OtherUri, Request, Response, SipParseError, SipUri, parse_message
from sip.user_agent.request_validation import refuse_request

ALLOWED = frozenset(("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER"))
BODY_TYPES = frozenset(("application/sdp",))

# Parsed: method or status. What a user agent answers after parsing stands in REFUSED below.
ACCEPTED = {
    "wsinv": "INVITE",  # 3.1.1.1
    "intmeth": "!interesting-Method0123456789_*+`.%indeed'~",  # 3.1.1.2
    "esc01": "INVITE",  # 3.1.1.3
    "escnull": "REGISTER",  # 3.1.1.4
    "esc02": "RE%47IST%45R",  # 3.1.1.5: the % is no escape in a method
    "lwsdisp": "OPTIONS",  # 3.1.1.6
    "longreq": "INVITE",  # 3.1.1.7
    "dblreq": "REGISTER",  # 3.1.1.8
    "semiuri": "OPTIONS",  # 3.1.1.9
    "transports": "OPTIONS",  # 3.1.1.10
    "mpart01": "MESSAGE",  # 3.1.1.11
    "unreason": 200,  # 3.1.1.12
    "noreason": 100,  # 3.1.1.13
    "baddate": "INVITE",  # 3.1.2.12: the Date may be ignored
    "badbranch": "OPTIONS",  # 3.2.1: must not confuse; matched by RFC 2543's rules
    "unkscm": "OPTIONS",  # 3.3.2
    "novelsc": "OPTIONS",  # 3.3.3
    "unksm2": "REGISTER",  # 3.3.4
    "bext01": "OPTIONS",  # 3.3.5
    "invut": "INVITE",  # 3.3.6
    "regaut01": "REGISTER",  # 3.3.7
    "bcast": 200,  # 3.3.10: dropped by the transaction layer
    "zeromf": "OPTIONS",  # 3.3.11
    "cparam01": "REGISTER",  # 3.3.12
    "cparam02": "REGISTER",  # 3.3.13
    "regescrt": "REGISTER",  # 3.3.14
    "sdp01": "INVITE",  # 3.3.15
    "inv2543": "INVITE",  # 3.4.1
}
# Not parsed: the status it deserves, and whether an answer can be sent at all.
REJECTED = {
    "badinv01": (400, False),  # 3.1.2.1: its Via cannot be read
    "clerr": (400, True),  # 3.1.2.2
    "ncl": (400, True),  # 3.1.2.3
    "scalar02": (400, True),  # 3.1.2.4
    "scalarlg": (400, False),  # 3.1.2.5: a response is dropped
    "quotbal": (400, True),  # 3.1.2.6
    "ltgtruri": (400, True),  # 3.1.2.7
    "lwsruri": (400, True),  # 3.1.2.8
    "lwsstart": (400, True),  # 3.1.2.9
    "trws": (400, True),  # 3.1.2.10
    "escruri": (400, True),  # 3.1.2.11
    "regbadct": (400, True),  # 3.1.2.13
    "badaspec": (400, True),  # 3.1.2.14
    "baddn": (400, True),  # 3.1.2.15
    "badvers": (505, True),  # 3.1.2.16
    "mismatch01": (400, True),  # 3.1.2.17
    "mismatch02": (400, True),  # 3.1.2.18
    "bigcode": (400, False),  # 3.1.2.19
    "insuf": (400, True),  # 3.3.1
    "multi01": (400, True),  # 3.3.8
    "mcl01": (400, True),  # 3.3.9
    "test": (400, False),  # of the archive only, cut off in its start line's fields
}
# Parsed, and refused by a user agent server: status and a header that says why.
REFUSED = {
    "intmeth": (501, "Allow"),
    "esc02": (501, "Allow"),
    "mpart01": (405, "Allow"),
    "unkscm": (416, None),
    "novelsc": (416, None),
    "bext01": (420, "Unsupported"),
    "invut": (415, "Accept"),
}


def load(folder: Path, name: str) -> bytes:
    data = (folder / "rfc4475" / f"{name}.dat").read_bytes()
    # The archive cuts the last empty line off this one.
    return data + b"\r\n" if name == "baddn" else data


def kind(message):
    return message.method if isinstance(message, Request) else message.status


def test_every_message_has_an_outcome(shared_vectors):
    names = {path.stem for path in (shared_vectors / "rfc4475").iterdir()}
    assert names == set(ACCEPTED) | set(REJECTED)
    assert len(names) == 50


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(shared_vectors, name):
    message = parse_message(load(shared_vectors, name))
    assert kind(message) == ACCEPTED[name]
    again = parse_message(message.serialize())
    assert kind(again) == kind(message)
    assert again.body == message.body
    assert again.call_id == message.call_id
    assert str(again.from_) == str(message.from_)


@pytest.mark.parametrize("name", REJECTED)
def test_rejected(shared_vectors, name):
    with pytest.raises(SipParseError) as error:
        parse_message(load(shared_vectors, name))
    status, answerable = REJECTED[name]
    assert error.value.status == status
    assert (error.value.request is not None) is answerable
    if answerable:
        assert error.value.request.create_response(status).serialize()


@pytest.mark.parametrize("name", sorted(name for name in ACCEPTED if isinstance(ACCEPTED[name], str)))
def test_what_a_server_answers(shared_vectors, name):
    request = parse_message(load(shared_vectors, name))
    response = refuse_request(request, allowed=ALLOWED, body_types=BODY_TYPES)
    if name not in REFUSED:
        assert response is None
        return
    status, header = REFUSED[name]
    assert response is not None
    assert response.status == status
    assert header is None or header in response.headers


def test_tortuous_invite(shared_vectors):
    """3.1.1.1: case, folding, compact forms, escapes and three Vias in two rows."""
    message = parse_message(load(shared_vectors, "wsinv"))
    assert isinstance(message.uri, SipUri)
    assert message.uri.parameter("unknownparam") == ""
    assert message.to.uri.user == "vivekg"
    assert message.to.tag == "1918181833n"
    assert message.from_.display_name == 'J Rosenberg \\"'
    assert message.from_.tag == "98asjd8"
    assert message.max_forwards == 68
    assert (message.cseq.number, message.cseq.method) == (9, "INVITE")
    assert [via.host for via in message.vias] == ["192.0.2.2", "spindle.example.com", "192.168.255.111"]
    assert [route.uri.host for route in message.routes] == ["services.example.com"]
    assert [one.uri.user for one in message.contacts] == ["jdrosen"]
    assert message.body.startswith(b"v=0\r\n")


def test_fields_the_rfc_speaks_of(shared_vectors):
    double = parse_message(load(shared_vectors, "dblreq"))
    assert double.body == b""
    semicolons = parse_message(load(shared_vectors, "semiuri"))
    assert semicolons.uri.user == "user;par=u%40example.net"
    novel = parse_message(load(shared_vectors, "novelsc"))
    assert isinstance(novel.uri, OtherUri)
    unusual = parse_message(load(shared_vectors, "unreason"))
    assert isinstance(unusual, Response)
    assert unusual.reason.startswith("= 2**3 * 5**2 ")
    assert parse_message(load(shared_vectors, "noreason")).reason == ""
    assert parse_message(load(shared_vectors, "lwsdisp")).from_.display_name == "caller"
    nulls = parse_message(load(shared_vectors, "escnull"))
    assert nulls.to.uri.user == "null-%00-null"
    assert [contact.uri.user for contact in nulls.contacts] == ["%00", "%00%00"]
    assert parse_message(load(shared_vectors, "zeromf")).max_forwards == 0
    transports = [via.transport for via in parse_message(load(shared_vectors, "transports")).vias]
    assert transports == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]
