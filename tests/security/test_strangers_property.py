"""No request of a stranger makes the proxy send to anybody but him, our users' registered contacts, and whom they call.

Strangers are whoever is no user of ours: one who knows nothing, one who calls bob, and one whom alice called. These
know all that is told to the ends of a dialog, and put it together as they like.
"""

from __future__ import annotations

from dataclasses import dataclass

from guarded_stage import ALICE, PHONE, STRANGER, VICTIM, Guarded, as_alice, stranger_request
from hypothesis import given, settings
from hypothesis import strategies as st
from proxy_stage import FakeFlow

from sip import Request, SipUri
from sip.discovery.target import Target
from sip.errors import SipError
from sip.proxy.events import ProxyTarget

CAROL, FAR = ("203.0.113.9", 5070), ("203.0.113.5", 5060)
SOURCES = (STRANGER, CAROL, (STRANGER[0], 40000))
V = f"{VICTIM[0]}:{VICTIM[1]}"
URIS = [
    "sip:bob@example.com",
    "sip:bob@example.com;gr=x",
    "sip:bob@192.0.2.10",
    "sips:bob@example.com",
    "sip:alice@192.0.2.50",
    "sip:carol@203.0.113.9:5070",
    "sip:carol@far.example",
    "sip:example.com",
    f"sip:x@{V}",
    f"sip:x@{V};transport=tcp",
    f"sips:x@{V}",
    f"sip:bob@example.com;maddr={VICTIM[0]}",
    f"sip:bob@example.com:5999;maddr={VICTIM[0]}",
    f"sip:bob@192.0.2.10;maddr={VICTIM[0]}",
    f"sip:192.0.2.1:5060;maddr={VICTIM[0]};lr",
    "sip:192.0.2.1:5060;lr",
    "sip:victim.example",
    "sip:127.0.0.1:6379;transport=tcp",
]
ROUTES = [
    "<sip:192.0.2.1:5060;lr>",
    "<sip:example.com;lr>",
    "<sips:proxy.example.com:5061;lr>",
    "<sip:phone@192.0.2.1:5060;lr;ob>",
    "<sip:u3230332e3131~00@192.0.2.1:5060;lr>",
    f"<sip:{V};lr>",
    f"<sip:{V}>",
    f"<sip:192.0.2.1:5060;maddr={VICTIM[0]};lr>",
    "<sip:bob@192.0.2.10>",
    "<sip:carol@203.0.113.9:5070>",
]
CALLERS = ["sip:m@evil.example", "sip:alice@example.com", "sip:bob@example.com", "sip:c@far.example"]
VIAS = ["", f";maddr={VICTIM[0]}", f";received={VICTIM[0]}", ";rport", f";rport=9;maddr={VICTIM[0]}"]
METHODS = ["INVITE", "ACK", "BYE", "CANCEL", "MESSAGE", "OPTIONS", "REGISTER", "SUBSCRIBE", "NOTIFY", "NOVEL"]


@dataclass
class Known:
    """What an end of a dialog was told, and the calls that it is of."""

    call_id: str
    tags: tuple[str, str]
    routes: list[str]


class World:
    """Our proxy and its two users; `known` are the dialogs that strangers are in."""

    def __init__(self) -> None:
        stage = self.stage = Guarded()
        stage.locations["sip:alice@example.com"] = [ProxyTarget(SipUri.parse("sip:alice@192.0.2.50"))]
        stage.tokens["phone"] = FakeFlow("tcp", PHONE)
        stage.servers["far.example"] = [Target("udp", *FAR, "far.example")]
        self.known = [Known("none", ("x", "y"), [])]
        call = stranger_request(Contact=f"<sip:m@{V}>")
        stage.request(call)
        self._answer(call, "m", f"<sip:bob@{PHONE[0]}>")
        ours = stranger_request(
            "INVITE", "sip:carol@far.example", caller="sip:alice@example.com", tag="a", source=ALICE,
            Contact="<sip:alice@192.0.2.50>",
        )  # fmt: skip
        as_alice(stage, ours, FakeFlow("udp", ALICE))
        self._answer(ours, "a", f"<sip:carol@{V}>")
        stage.take()

    def _answer(self, request: Request, tag: str, contact: str) -> None:
        [sent] = self.stage.requests()
        self.stage.answer(sent, 200, tag="z", Contact=contact)
        record = [str(one) for one in sent.message.record_routes]
        self.known.append(Known(request.call_id, (tag, "z"), record))

    def check(self, source: tuple[str, int]) -> None:
        """What was sent went to the stranger himself, or to a user's contact."""
        for one in self.stage.take():
            place = one.address or one.flow.remote
            if isinstance(one.message, Request):
                assert place in (PHONE, ALICE), (one.message, place)
            else:
                assert place[0] == source[0], (one.message, place)
        connected = {(hop.host, hop.port) for hop in self.stage.flows} - {FAR}
        assert connected <= {PHONE, ALICE}, connected


PIECES = st.fixed_dictionaries(
    {
        "method": st.sampled_from(METHODS),
        "uri": st.sampled_from(URIS),
        "source": st.sampled_from(SOURCES),
        "transport": st.sampled_from(["udp", "tcp", "tls"]),
        "dialog": st.integers(0, 2),
        "reversed": st.booleans(),
        "to_tag": st.sampled_from([True, True, False]),
        "caller": st.sampled_from(CALLERS),
        "to": st.sampled_from(["sip:bob@example.com", "sip:alice@example.com", f"sip:x@{V}", "sip:nobody@example.com"]),
        "ours_first": st.booleans(),
        "routes": st.lists(st.sampled_from(ROUTES), max_size=3),
        "via": st.sampled_from(VIAS),
        "sent_by": st.sampled_from([None, VICTIM[0], "victim.example", "192.0.2.1:5060"]),
        "branch": st.integers(0, 3),
        "hops": st.sampled_from(["70", "0", "1"]),
        "damage": st.sampled_from([None, None, None, 0, 1, 5, 30, -1]),
        "answer": st.sampled_from([None, 180, 200, 302, 401, 486, 503]),
        "wait": st.sampled_from([0.0, 0.6, 40.0]),
    }
)


def request_of(world: World, pieces: dict) -> Request:
    known = world.known[pieces["dialog"]]
    tags = known.tags[::-1] if pieces["reversed"] else known.tags
    record = known.routes if pieces["reversed"] else known.routes[::-1]
    if pieces["damage"] is not None:
        record = [damaged(one, pieces["damage"]) for one in record]
    routes = record + pieces["routes"] if pieces["ours_first"] else pieces["routes"] + record
    request = stranger_request(
        pieces["method"],
        pieces["uri"],
        caller=pieces["caller"],
        tag=tags[0],
        to=pieces["to"],
        to_tag=tags[1] if pieces["to_tag"] else None,
        call_id=known.call_id,
        Max_Forwards=pieces["hops"],
        Contact=f"<sip:m@{V}>",
        **({"Route": ", ".join(routes)} if routes else {}),
    )
    sent_by = pieces["sent_by"] or "{}:{}".format(*pieces["source"])
    via = f"SIP/2.0/{pieces['transport'].upper()} {sent_by}{pieces['via']};branch=z9hG4bK{pieces['branch']}"
    request.headers.set("Via", via)
    return request


def damaged(route: str, place: int) -> str:
    """One character of the user part changed."""
    user = route.partition(":")[2].partition("@")[0]
    place %= len(user)
    changed = user[:place] + ("A" if user[place] != "A" else "B") + user[place + 1 :]
    return route.replace(user, changed)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=6))
def test_a_stranger_reaches_nobody_else(steps):
    world = World()
    stage = world.stage
    flows: dict = {}
    for pieces in steps:
        place = pieces["source"]
        flow = flows.setdefault((pieces["transport"], place), FakeFlow(pieces["transport"], place))
        try:
            stage.request(request_of(world, pieces), flow)
        except SipError:
            continue
        requests = [one for one in stage.sent if isinstance(one.message, Request) and one.what not in ("ACK", "CANCEL")]
        world.check(place)
        if pieces["answer"] is not None:
            for one in requests:
                stage.answer(one, pieces["answer"], tag="z", Contact=f"<sip:x@{V}>")
            stage.pass_time(pieces["wait"])
        # What is sent again later may be of any of them.
        for one in stage.take():
            place = one.address or one.flow.remote
            wanted = (PHONE, ALICE) if isinstance(one.message, Request) else tuple(SOURCES)
            assert place in wanted or (
                not isinstance(one.message, Request) and place[0] in {host for host, _ in SOURCES}
            )
