"""The three location stores: what all promise alike, and what each survives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.redis import RedisServer
from registering_process import register

from sip import LocationService, RegistrarSettings, SipUri
from sip.errors import LocationStoreError
from sip.registrar.location import Binding, Instance, LocationRecord
from sip.registrar.store_memory import MemoryLocationStore
from sip.registrar.store_redis import RedisLocationStore
from sip.registrar.store_sqlite import SqliteLocationStore

NOW = 4_000_000_000.0  # in the future, as Redis goes by its own clock
SUPPORT = Path(__file__).resolve().parents[2] / "support"
AOR = "alice@example.com"


def binding(number=1, *, expires_at=NOW + 600, **more):
    return Binding(f"sip:alice@192.0.2.{number}", expires_at, NOW, "call", number, **more)


def record(*bindings, version="", instances=(), aor=AOR):
    return LocationRecord(aor, bindings or (binding(),), instances, version)


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(
    params=["memory", "sqlite", pytest.param("redis", marks=pytest.mark.interop("redis-server"))],
)
async def open_store(request, tmp_path):
    """A function that opens the same store once more."""
    memory = MemoryLocationStore()
    opened = []

    def make():
        if request.param == "memory":
            return memory
        if request.param == "sqlite":
            store = SqliteLocationStore(tmp_path / "location.db")
        else:
            prefix = f"{request.node.name}:"
            store = RedisLocationStore(request.getfixturevalue("redis_server").url, prefix=prefix)
        opened.append(store)
        return store

    yield make
    for store in opened:
        await store.close()


async def test_what_is_saved_is_loaded(open_store):
    store = open_store()
    assert await store.load(AOR) == LocationRecord(AOR)
    full = binding(
        q=250,
        parameters=(("methods", '"INVITE, BYE"'), ("audio", None), ("x", '"ä\\""')),
        path=("<sip:inner;lr>", "<sip:edge;lr;ob>"),
        instance="urn:uuid:1",
        reg_id=7,
        flow="f",
    )
    instances = (Instance("urn:uuid:1", 2**64 - 1),)
    assert await store.save(record(full, binding(2), instances=instances))
    loaded = await open_store().load(AOR)
    assert replace(loaded, version="") == record(full, binding(2), instances=instances)
    assert await open_store().aor_of(2**64 - 1) == AOR
    assert await store.load("bob@example.com") == LocationRecord("bob@example.com")


async def test_of_two_who_change_a_record_one_has_to_look_again(open_store):
    one, two = open_store(), open_store()
    assert await one.save(record())
    seen = await one.load(AOR)
    assert await two.save(replace(seen, bindings=(binding(2),)))
    assert not await one.save(replace(seen, bindings=(binding(3),)))
    assert not await one.save(record(binding(3)))
    assert [one.cseq for one in (await one.load(AOR)).bindings] == [2]


async def test_a_record_that_came_and_went_is_another_one(open_store):
    store = open_store()
    assert await store.save(record())
    seen = await store.load(AOR)
    assert await store.save(replace(seen, bindings=()))
    assert await store.save(record(binding(2)))
    assert not await store.save(replace(seen, bindings=(binding(3),)))
    assert not await store.save(replace(seen, bindings=()))
    assert [one.cseq for one in (await store.load(AOR)).bindings] == [2]


async def test_record_without_bindings_is_gone(open_store):
    store = open_store()
    instances = (Instance("i", 5),)
    assert await store.save(record(instances=instances))
    assert await store.save(replace(await store.load(AOR), bindings=()))
    assert await store.load(AOR) == LocationRecord(AOR)
    assert await store.aor_of(5) is None
    assert await store.save(replace(LocationRecord(AOR), instances=instances))
    assert await store.aor_of(5) is None


async def test_gruu_index_belongs_to_one_record(open_store):
    store = open_store()
    assert await store.save(record(instances=(Instance("i", 5), Instance("j", 6))))
    assert not await store.save(record(aor="bob@example.com", instances=(Instance("i", 5),)))
    assert await store.load("bob@example.com") == LocationRecord("bob@example.com")
    assert await store.save(replace(await store.load(AOR), instances=(Instance("i", 7), Instance("j", 6))))
    assert [await store.aor_of(index) for index in (5, 6, 7)] == [None, AOR, AOR]
    assert await store.save(record(aor="bob@example.com", instances=(Instance("i", 5),)))


async def test_everybody_has_the_same_secret(open_store):
    secret = await open_store().secret()
    assert len(secret) == 32
    assert secret == await open_store().secret()
    assert bytes(secret) != bytes(32)


async def test_concurrent_changes_lose_nothing(open_store):
    """Eight writers, each adding a binding of its own by reading and trying again."""
    stores = [open_store() for _ in range(4)]

    async def add(number):
        store = stores[number % len(stores)]
        while True:
            seen = await store.load(AOR)
            if await store.save(replace(seen, bindings=(*seen.bindings, binding(number)))):
                return

    await asyncio.gather(*(add(number) for number in range(1, 9)))
    assert sorted(one.cseq for one in (await stores[0].load(AOR)).bindings) == list(range(1, 9))


async def test_registrars_on_one_store_serve_as_one(open_store):
    """What one registers the others find, by its address and by the GRUUs that it gave out."""
    settings_of_all = RegistrarSettings(frozenset(("example.com",)))
    services = [await LocationService.create(open_store(), settings_of_all, clock=lambda: NOW) for _ in range(3)]
    gruus = []
    for number, service in enumerate(services):
        response = await service.register(register("alice", number + 1), user="alice")
        assert response.status == 200
        gruus.append(response.contacts[0].parameter("temp-gruu"))
    for service in services:
        [[found]] = (await service.locate(SipUri.parse("sip:alice@example.com"))).groups
        assert found.contact == "sip:alice@192.0.2.1:5003"
        for gruu in gruus:
            located = await service.locate(SipUri.parse(gruu))
            assert [[one.contact for one in group] for group in located.groups] == [[found.contact]]
    # What the second has seen, the third knows to be late.
    assert (await services[2].register(register("alice", 2), user="alice")).status == 500
    assert (await services[0].register(register("alice", 4, expires=0), user="alice")).status == 200
    assert (await services[1].locate(SipUri.parse("sip:alice@example.com"))).groups == ()
    assert await services[1].locate(SipUri.parse(gruus[2])) is None


@pytest.mark.parametrize("open_store", ["memory", "sqlite"], indirect=True)
async def test_purge_removes_what_expired(open_store):
    store = open_store()
    await store.save(record(binding(expires_at=NOW + 10), instances=(Instance("i", 5),)))
    await store.save(record(binding(expires_at=NOW + 10), binding(2, expires_at=NOW + 20), aor="bob@example.com"))
    assert await store.purge(NOW + 10) == 1
    assert await store.load(AOR) == LocationRecord(AOR)
    assert await store.aor_of(5) is None
    assert len((await store.load("bob@example.com")).bindings) == 2


@pytest.mark.interop("redis-server")
async def test_redis_forgets_what_expired_by_itself(redis_server):
    store = RedisLocationStore(redis_server.url, prefix="expiry:")
    try:
        assert await store.save(record(binding(expires_at=1.0), instances=(Instance("i", 5),)))
        assert await store.load(AOR) == LocationRecord(AOR)
        assert await store.aor_of(5) is None
    finally:
        await store.close()


@pytest.mark.interop("redis-server")
async def test_redis_restarted_and_gone(tmp_path):
    with RedisServer(tmp_path) as server:
        store = RedisLocationStore(server.url)
        assert await store.save(record())
        server.stop()
        for asked in (store.load(AOR), store.save(record()), store.aor_of(1), store.secret()):
            with pytest.raises(LocationStoreError):
                await asked
        server.start()
        assert len((await store.load(AOR)).bindings) == 1
        await store.close()


@contextlib.contextmanager
def registering(store, acknowledged):
    """A process that registers at `store`, and writes what was acknowledged to a file; killed in the end."""
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT.parents[1])}
    command = [sys.executable, str(SUPPORT / "registering_process.py"), str(store), acknowledged.name]
    with acknowledged.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, env=environment)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def lines(path):
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


async def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path):
    """Two registrars on one file, killed at any moment of their REGISTERs, several times over."""
    path = tmp_path / "location.db"
    logs = []
    for turn in range(3):
        pair = [tmp_path / f"{turn}{side}" for side in "ab"]
        with registering(path, pair[0]) as one, registering(path, pair[1]) as two:
            while any(len(lines(log)) < 20 + 13 * turn for log in pair):
                assert one.poll() is None
                assert two.poll() is None
                await asyncio.sleep(0.01)
        assert one.returncode == two.returncode == -signal.SIGKILL
        logs += pair
    store = SqliteLocationStore(path)
    try:
        acknowledged, lost = 0, []
        for log in logs:
            for number, cseq in lines(log):
                aor = f"{log.name}-{number}@example.com"
                found = await store.load(aor)
                indices = [await store.aor_of(one.gruu_index) for one in found.instances]
                if len(found.bindings) != 1 or found.bindings[0].cseq < int(cseq) or indices != [aor]:
                    lost.append((aor, cseq))
                acknowledged += 1
        assert acknowledged >= 2 * (20 + 33 + 46)
        assert lost == []
    finally:
        await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_sqlite_file_is_durable_and_the_owners_only(tmp_path):
    path = tmp_path / "location.db"
    store = SqliteLocationStore(path)
    await store.save(record())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()} == {0o600}
    for pragma, value in (("journal_mode", "wal"), ("synchronous", 2)):
        asked = store._thread.submit(lambda pragma=pragma: store._connection.execute(f"PRAGMA {pragma}").fetchone())
        assert asked.result() == (value,)
    await store.close()
    with pytest.raises(LocationStoreError):
        await store.load(AOR)


async def test_sqlite_refuses_what_is_not_its_own(tmp_path):
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"no database" * 100)
    newer = tmp_path / "newer"
    with contextlib.closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 99")
    for path in (garbage, newer, tmp_path / "missing" / "location.db"):
        with pytest.raises(LocationStoreError, match=path.name):
            SqliteLocationStore(path)
    store = SqliteLocationStore(tmp_path / "broken")
    store._thread.submit(
        store._connection.execute, "INSERT INTO records VALUES ('alice@example.com', 'v', 0, '{\"bindings\": 3}')"
    ).result()
    with pytest.raises(LocationStoreError, match="cannot be read"):
        await store.load(AOR)
    await store.close()


texts = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=8)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.builds(
            Binding,
            contact=st.sampled_from(["sip:a@b", "sips:%41@[::1]:5?x=y", "tel:+1"]),
            expires_at=st.floats(0, 1e12),
            updated_at=st.floats(0, 1e12),
            call_id=texts,
            cseq=st.integers(0, 2**31 - 1),
            q=st.integers(0, 1000),
            parameters=st.lists(st.tuples(texts, st.none() | texts), max_size=3).map(tuple),
            path=st.lists(texts, max_size=3).map(tuple),
            instance=st.none() | texts,
            reg_id=st.none() | st.integers(1, 2**31 - 1),
            flow=st.none() | texts,
        ),
        max_size=4,
    )
)
def test_any_record_survives_json(bindings):
    one = LocationRecord(AOR, tuple(bindings), (Instance("i", 2**64 - 1),), "v")
    assert LocationRecord.from_json(AOR, "v", one.to_json()) == one
