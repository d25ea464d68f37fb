"""A response whose connection is gone: the name in a stranger's Via has us connect to nobody."""

from __future__ import annotations

import pytest
from guarded_stage import STRANGER, VICTIM, stranger_request

from sip import TransportError
from sip.discovery.target import Target, add_received
from sip.transport.response_failover import flow_for_response


class Transports:
    """Nobody can be reached; `tried` has who was tried."""

    supported = ("tls", "tcp", "udp")

    def __init__(self):
        self.tried = []

    async def flow_to(self, target):
        self.tried.append(target.host)
        raise TransportError("refused", target=str(target))


class Names:
    """Every name is the victim's, and the stranger's at another port."""

    async def locate_response(self, via, *, transports):
        hosts = (VICTIM[0], STRANGER[0])
        return [Target(via.transport.lower(), host, 5070, via.host) for host in hosts]


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
@pytest.mark.parametrize("parameters", ["", f";maddr={VICTIM[0]}", f";received={VICTIM[0]}", ";rport"])
@pytest.mark.parametrize("known", [False, True])
async def test_only_who_is_known_is_looked_for(transport, parameters, known):
    request = stranger_request()
    request.headers.set("Via", f"SIP/2.0/{transport} victim.example{parameters};branch=z9hG4bKx")
    request.headers.set("Via", str(add_received(request.top_via, *STRANGER)))
    transports = Transports()
    with pytest.raises(TransportError):
        await flow_for_response(transports, Names(), request.create_response(480), known=known)
    assert transports.tried == ([STRANGER[0], VICTIM[0], STRANGER[0]] if known else [STRANGER[0]] * 2)
    assert (VICTIM[0] in transports.tried) is known
