"""`securertc register` against a registrar of ours on loopback, over TLS and TCP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys

import pytest
from click.testing import CliRunner

from securertc.cli import main
from securertc.demo.throwaway_authority import ThrowawayAuthority
from sip import DigestServer, LocationService, MemoryLocationStore, RegistrarSettings, server_context
from sip.user_agent.user_agent import UserAgent

AOR = "alice@127.0.0.1"


@contextlib.asynccontextmanager
async def registrar(authority, *, transport="tls", algorithms=("SHA-256",)):
    store = MemoryLocationStore()
    service = await LocationService.create(store, RegistrarSettings(frozenset(("127.0.0.1",)), min_expires=60))
    clock = asyncio.get_running_loop().time
    digest = DigestServer.with_passwords("home", {"alice": "secret"}, clock=clock, algorithms=algorithms)
    agent = UserAgent(registrar=service, authenticator=digest)
    issued = authority.issue(f"registrar-{secrets.token_hex(4)}", addresses=("127.0.0.1",))
    tls = server_context(issued.certificate_path, issued.key_path) if transport == "tls" else None
    address = await agent.listen(transport, "127.0.0.1", tls=tls)
    try:
        yield store, f"sip:{AOR}:{address.port};transport={transport}"
    finally:
        await agent.close()


@contextlib.asynccontextmanager
async def started(authority, aor, *arguments, password="secret"):
    command = [sys.executable, "-m", "securertc", "register", aor, "--username", "alice", "--realm", "home"]
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--ca-file", str(authority.certificate_path), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "SECURERTC_PASSWORD": password, "COLUMNS": "120"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run(authority, aor, *arguments, **more):
    async with started(authority, aor, *arguments, **more) as process:
        out, err = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode, out.decode(), err.decode()


async def test_keeps_the_binding_until_it_is_told_to_stop(authority):
    async with registrar(authority) as (store, aor), started(authority, aor, "--expires", "120") as process:
        printed = b""
        while b"kept until" not in printed:
            line = await asyncio.wait_for(process.stdout.readline(), 30)
            assert line, (await process.communicate())[1].decode()
            printed += line
        [binding] = (await store.load(AOR)).bindings
        assert 119 < binding.expires_at - binding.updated_at <= 120
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
        text = (printed + out).decode()
        assert (process.returncode, err) == (0, b"")
        for fact in (
            "registered for 120 s",
            "TLSv1.3",
            "127.0.0.1 (IP address)",
            "SHA-256",
            "proved itself",
            "removed",
        ):
            assert fact in text
        assert (await store.load(AOR)).bindings == ()


async def test_contacts_query_and_removal(authority):
    async with registrar(authority, transport="tcp") as (store, aor):
        contacts = ("--contact", "sip:alice@192.0.2.1", "--contact", "sips:a@192.0.2.2")
        code, _, err = await run(authority, aor, *contacts, "--once")
        assert code == 3  # a sips contact needs a sips REGISTER
        assert "400" in err
        code, out, _ = await run(authority, aor, *contacts[:2], "--once", "--expires", "10")
        assert (code, "registered for 60 s" in out, "not encrypted" in out) == (0, True, True)
        assert [one.contact for one in (await store.load(AOR)).bindings] == ["sip:alice@192.0.2.1"]
        code, out, _ = await run(authority, aor, "--query")
        assert code == 0
        assert "sip:alice@192.0.2.1" in out
        code, out, _ = await run(authority, aor, "--remove-all")
        assert code == 0
        assert "removed all" in out
        assert (await store.load(AOR)).bindings == ()


@pytest.mark.parametrize("transport", ["tls", "tcp", "udp"])
async def test_over_a_flow_that_is_kept_open(authority, transport):
    instance = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
    async with registrar(authority, transport=transport) as (store, aor):
        code, out, err = await run(authority, aor, "--instance", instance, "--once")
        assert (code, err) == (0, "")
        assert "over a flow kept open" in out
        [binding] = (await store.load(AOR)).bindings
        assert (binding.instance, binding.reg_id) == (instance, 1)
        code, out, _ = await run(authority, aor, "--instance", instance, "--duration", "0.2")
        assert (code, "removed" in out) == (0, True)
        assert (await store.load(AOR)).bindings == ()


async def test_what_is_refused_says_why(authority, tmp_path):
    stranger = ThrowawayAuthority(tmp_path)
    async with registrar(authority) as (store, aor):
        for arguments, more, text in (
            ((), {"password": "wrong"}, "were refused"),
            (("--realm", "other"), {}, "no credentials"),
            (("--ca-file", str(stranger.certificate_path)), {}, "certificate"),
        ):
            code, _, err = await run(authority, aor, "--once", *arguments, **more)
            assert code == 3
            assert text in err
            assert err.startswith("error: ")
            assert "Traceback" not in err
        assert (await store.load(AOR)).bindings == ()
    async with registrar(authority, algorithms=("MD5",)) as (store, aor):
        code, _, err = await run(authority, aor, "--once")
        assert (code, "not allowed" in err) == (3, True)
        code, out, _ = await run(authority, aor, "--once", "--allow-md5")
        assert (code, "Digest by MD5" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("tel:1",), "AOR"),
        (("sip:a@b", "--instance", "alice"), "no URN"),
        (("sip:a@b", "--instance", "urn:x:1", "--query"), "--instance registers"),
        (("sip:a@b", "--contact", "x"), "--contact"),
        (("sip:a@b", "--proxy", "x"), "--proxy"),
        (("sip:a@b", "--expires", "0"), "--expires"),
        (("sip:a@b", "--query", "--once"), "exclude"),
    ],
)
def test_wrong_usage(arguments, text):
    result = CliRunner().invoke(main, ["register", *arguments])
    assert result.exit_code == 2
    assert text in result.output
