"""baresip registers at our registrar over TLS with Digest; `securertc register` does at kamailio."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from peers.baresip import Baresip
from peers.kamailio import PASSWORDS, REALM, Kamailio

from sip import DigestServer, LocationService, RegistrarSettings, SipUri, server_context
from sip.registrar.store_sqlite import SqliteLocationStore
from sip.user_agent.user_agent import UserAgent

pytestmark = pytest.mark.timeout(60)


@pytest.mark.interop("baresip")
@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_baresip_registers_with_us(tmp_path, authority, transport):
    store = SqliteLocationStore(tmp_path / "location.db")
    service = await LocationService.create(store, RegistrarSettings(frozenset(("127.0.0.1",)), min_expires=60))
    clock = asyncio.get_running_loop().time
    # baresip 1.0.0 knows MD5 only, and gives up at any other algorithm beside it.
    digest = DigestServer.with_passwords("home", {"bob": "bobpw"}, clock=clock, algorithms=("MD5",))
    agent = UserAgent(registrar=service, authenticator=digest)
    try:
        tls = server_context(authority.issue("registrar")) if transport == "tls" else None
        address = await agent.listen(transport, "127.0.0.1", tls=tls)
        account = f"<sip:bob@127.0.0.1:{address.port};transport={transport}>;auth_user=bob;auth_pass=bobpw;regint=600"
        with Baresip(tmp_path / "bob", authority, name="bob", account=account, tone=1000) as peer:
            await asyncio.to_thread(peer.await_event, "REGISTER_OK")
            located = await service.locate(SipUri.parse("sip:bob@127.0.0.1"))
            [[binding]] = located.groups
            assert binding.uri.host == "127.0.0.1"
            assert binding.uri.transport in (transport, None)
            assert binding.flow.startswith(f"{transport}:127.0.0.1:")
            # Its own removal, when it goes.
            peer.command_line("quit")
            for _ in range(200):
                left = (await service.locate(SipUri.parse("sip:bob@127.0.0.1"))).groups
                if not left:
                    break
                await asyncio.sleep(0.05)
            assert left == ()
    finally:
        await agent.close()
        await store.close()


@pytest.mark.interop("kamailio")
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_our_command_registers_at_kamailio(tmp_path, authority, algorithm):
    with Kamailio(tmp_path / "kamailio", authority, algorithm=algorithm) as peer:
        proxy = f"sip:127.0.0.1:{peer.tls_port};transport=tls"

        async def register(*arguments):
            command = [sys.executable, "-m", "securertc", "register", f"sip:alice@{REALM}", "--proxy", proxy]
            process = await asyncio.create_subprocess_exec(
                *(*command, "--username", "alice", "--ca-file", str(authority.ca_path), *arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "SECURERTC_PASSWORD": PASSWORDS["alice"], "COLUMNS": "120"},
            )
            out, err = await asyncio.wait_for(process.communicate(), 30)
            return process.returncode, out.decode() + err.decode()

        allowed = ("--allow-md5",) if algorithm == "MD5" else ()
        contacts = ("--contact", "sip:alice@192.0.2.7:5070", "--contact", "sip:alice@192.0.2.8")
        code, text = await register(*contacts, "--once", *allowed)
        assert code == 0, text
        assert f"Digest by {algorithm}" in text
        code, text = await register("--query", *allowed)
        assert code == 0
        assert "sip:alice@192.0.2.7:5070" in text
        code, text = await register("--remove-all", *allowed)
        assert (code, "192.0.2." in text) == (0, False)
        if algorithm == "MD5":
            code, text = await register("--query")
            assert (code, "not allowed" in text) == (3, True)
