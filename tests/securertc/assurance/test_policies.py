"""Which calls come about under which policies, and what they are then protected with."""

from __future__ import annotations

import asyncio

import pytest

from securertc import CallRefusedError, MediaSecurity, SecurityPolicy, SecurityPolicyError, TierStatus
from sip import Headers, Request, SipUri
from sip.message.header_values import CSeq
from sip.message.message import new_call_id, new_tag

OFF, PREFERRED, REQUIRED = MediaSecurity.OFF, MediaSecurity.PREFERRED, MediaSecurity.REQUIRED
PLAIN, SRTP, REFUSED = "plain", "srtp", "488"

OVER_TLS = {
    (OFF, OFF): PLAIN,
    (OFF, PREFERRED): PLAIN,
    (OFF, REQUIRED): REFUSED,
    (PREFERRED, OFF): PLAIN,
    (PREFERRED, PREFERRED): SRTP,
    (PREFERRED, REQUIRED): SRTP,
    (REQUIRED, OFF): REFUSED,
    (REQUIRED, PREFERRED): SRTP,
    (REQUIRED, REQUIRED): SRTP,
}


@pytest.mark.parametrize(("caller", "callee"), OVER_TLS)
async def test_policies_over_tls(pair, nothing_left, caller, callee):
    async with pair(SecurityPolicy(media=caller), SecurityPolicy(media=callee)) as ends:
        if OVER_TLS[caller, callee] == REFUSED:
            with pytest.raises(CallRefusedError, match="488") as refused:
                await ends.caller.call(ends.uri)
            assert refused.value.status == 488
            assert "399" in str(refused.value)  # a Warning says why
            return
        ours, theirs = await ends.establish()
        for call in (ours, theirs):
            assert call.agreed.secured == (OVER_TLS[caller, callee] == SRTP)
            assert call.agreed.protocol == ("RTP/SAVP" if caller is REQUIRED else "RTP/AVP")
        if ours.agreed.secured:
            assert ours.agreed.outbound == theirs.agreed.inbound
            assert ours.agreed.outbound != ours.agreed.inbound


OVER_CLEARTEXT = {
    (OFF, OFF): PLAIN,
    (OFF, PREFERRED): PLAIN,
    (OFF, REQUIRED): REFUSED,
    (PREFERRED, OFF): PLAIN,
    (PREFERRED, PREFERRED): PLAIN,
    (PREFERRED, REQUIRED): REFUSED,
    (REQUIRED, OFF): "not sent",
    (REQUIRED, PREFERRED): "not sent",
    (REQUIRED, REQUIRED): "not sent",
}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(("caller", "callee"), OVER_CLEARTEXT)
async def test_no_key_crosses_a_cleartext_hop(pair, nothing_left, monkeypatch, transport, caller, callee):
    sent = []
    serialize = Request.serialize
    monkeypatch.setattr(Request, "serialize", lambda self: sent.append(serialize(self)) or sent[-1])
    async with pair(SecurityPolicy(media=caller), SecurityPolicy(media=callee), transport=transport) as ends:
        outcome = OVER_CLEARTEXT[caller, callee]
        if outcome == "not sent":
            with pytest.raises(SecurityPolicyError, match="without TLS"):
                await ends.caller.call(ends.uri)
            assert not sent
        elif outcome == REFUSED:
            with pytest.raises(CallRefusedError, match="without TLS"):
                await ends.caller.call(ends.uri)
        else:
            ours, _ = await ends.establish()
            assert not ours.agreed.secured
            if caller is PREFERRED:
                assert "no TLS" in ours.security.body.fact("keys")
    assert not any(b"a=crypto" in message for message in sent)


async def test_keys_cross_a_cleartext_hop_when_both_opt_in(pair, nothing_left):
    policy = SecurityPolicy(allow_cleartext_keys=True)
    async with pair(policy, policy, transport="udp") as ends:
        ours, theirs = await ends.establish()
        assert ours.agreed.secured
        assert theirs.agreed.secured
        assert ours.security.body.status is TierStatus.NONE
        assert "everybody" in ours.security.body.fact("visible to")


async def test_an_answer_without_keys_is_refused_under_required(pair, nothing_left, monkeypatch):
    """The callee says RTP/SAVP and leaves its a=crypto line out: the call is ended, not made in clear."""
    from securertc.call.call import AudioNegotiation

    create_answer = AudioNegotiation.create_answer

    def without_key(self):
        return "".join(line for line in create_answer(self).splitlines(True) if "a=crypto" not in line)

    monkeypatch.setattr(AudioNegotiation, "create_answer", without_key)
    async with pair() as ends:
        with pytest.raises(SecurityPolicyError, match="SRTP is required"):
            await ends.caller.call(ends.uri)
        theirs = await asyncio.wait_for(ends.answered.get(), 5)
        assert await asyncio.wait_for(theirs.wait_ended(), 5) == "remote"


@pytest.mark.parametrize(("behind", "taken"), [("UDP", False), ("TCP", False), ("TLS", True)])
async def test_a_cleartext_hop_behind_the_proxy_counts(pair, behind, taken):
    """An INVITE over TLS whose Via tells of a hop before: our key would go back the same way."""
    async with pair(answering=False) as ends:
        request = Request("INVITE", SipUri.parse(ends.uri), Headers())
        for name, value in (
            ("Via", f"SIP/2.0/{behind} 192.0.2.1;branch=z9hG4bKbehind"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:mallory@local.example>;tag={new_tag()}"),
            ("To", "<sip:bob@remote.example>"),
            ("Call-ID", new_call_id()),
            ("CSeq", str(CSeq(1, "INVITE"))),
            ("Contact", "<sip:mallory@127.0.0.1:5061;transport=tls>"),
        ):
            request.headers.add(name, value)
        agent = ends.caller.user_agent
        agent.start_request(request, await agent.flow_for(request), lambda response: None, lambda error: None)
        if taken:
            assert await asyncio.wait_for(ends.incoming.get(), 5)
        else:
            # An INVITE after it is answered in order, so that the first one has been refused by then.
            await asyncio.wait_for(agent.request(_options(ends.uri)), 5)
            assert ends.incoming.empty()


def _options(uri: str) -> Request:
    request = Request("OPTIONS", SipUri.parse(uri), Headers())
    for name, value in (
        ("Max-Forwards", "70"),
        ("From", f"<sip:mallory@local.example>;tag={new_tag()}"),
        ("To", "<sip:bob@remote.example>"),
        ("Call-ID", new_call_id()),
        ("CSeq", "1 OPTIONS"),
    ):
        request.headers.add(name, value)
    return request


def test_keys_may_travel_only_as_said():
    assert SecurityPolicy().keys_may_travel(hop_is_secure=True)
    assert not SecurityPolicy().keys_may_travel(hop_is_secure=False)
    assert SecurityPolicy(allow_cleartext_keys=True).keys_may_travel(hop_is_secure=False)
