"""Agree on SRTP keys by MIKEY through SDP, over signalling that anybody may read, and protect a packet.

Run: python examples/mikey_exchange.py
"""

from __future__ import annotations

import secrets
import time

from sdp import SessionDescription
from sdp.mikey import (
    Initiator,
    KeyMgmtAttribute,
    Mode,
    Ourselves,
    Peer,
    Proposal,
    ReplayCache,
    Responder,
    check_answered_key_mgmt,
    streams_of_media,
    take_key_mgmt,
    uri_id,
)
from srtp import SecretBytes, Session

SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "a=key-mgmt:{}\r\nm=audio 5004 RTP/SAVP 0\r\n"
)
ALICE, BOB = uri_id("sip:alice@example.com"), uri_id("sip:bob@example.com")
ALICE_SSRC, BOB_SSRC = 0xA11CE, 0xB0B


def main() -> None:
    # What Alice and Bob have in common beforehand. With DHHMAC nobody who finds it out later can read old calls.
    shared = SecretBytes(secrets.token_bytes(32))

    # Alice offers. The list of protocols is authenticated, so that nobody can take one out of the offer.
    proposal = Proposal(mode=Mode.DHHMAC, streams=streams_of_media((ALICE_SSRC,)), sdp_ids=("mikey",))
    alice = Initiator(proposal, Ourselves(ALICE), Peer(BOB, shared))
    offer = SDP.format(KeyMgmtAttribute("mikey", alice.create_message(time.time())).serialize())

    # Bob answers. One replay cache serves all his calls.
    peers = {ALICE: Peer(ALICE, shared)}
    bob = Responder(Ourselves(BOB), lambda claimed: peers.get(claimed) if claimed else None, ReplayCache())
    offered = SessionDescription.parse(offer)
    taken = take_key_mgmt(offered, offered.media[0])
    assert taken is not None
    accepted = bob.receive(taken.attribute.data, time.time(), ssrcs=(BOB_SSRC,), sdp_ids=taken.prtcl_ids)
    assert accepted.response is not None
    answer = SDP.format(KeyMgmtAttribute("mikey", accepted.response).serialize())

    # Alice reads the answer.
    answered = SessionDescription.parse(answer)
    attribute = check_answered_key_mgmt(answered, answered.media[0], offered=("mikey",))
    bundle = alice.receive(attribute.data, time.time())
    print(f"agreed: {bundle.mode.name}, {bundle.sessions[0].policy.profile.name}")

    alice_sends, alice_receives = bundle.media_sessions(0, initiator=True)
    bob_sends, bob_receives = accepted.bundle.media_sessions(0, initiator=False)
    packet = b"\x80\x00\x00\x01\x00\x00\x00\x00" + ALICE_SSRC.to_bytes(4) + b"hello"
    protected = Session(alice_sends.policy, alice_receives.policy).protect(packet)
    print(f"on the wire: {protected.hex()}")
    print(f"bob reads: {Session(bob_sends.policy, bob_receives.policy).unprotect(protected)[12:].decode()}")


if __name__ == "__main__":
    main()
