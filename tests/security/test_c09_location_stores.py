"""Location stores under others' locks, with others' rubbish in them, failing and coming back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sqlite3
import time
from dataclasses import replace

import pytest
from peers.redis import RedisServer
from redis import Redis
from registering_process import register

from sip import LocationService, RegistrarSettings, SipUri
from sip.errors import LocationStoreError
from sip.registrar import store_sqlite as location_sqlite
from sip.registrar.gruu import TemporaryGruus
from sip.registrar.location import Binding, Instance, LocationRecord
from sip.registrar.store_memory import MemoryLocationStore
from sip.registrar.store_redis import RedisLocationStore
from sip.registrar.store_sqlite import SqliteLocationStore
from srtp import SecretBytes

SETTINGS = RegistrarSettings(frozenset(("example.com",)))
AOR, BOB = "alice@example.com", "bob@example.com"
URI, BOBS = SipUri.parse(f"sip:{AOR}"), SipUri.parse(f"sip:{BOB}")


def record(aor=AOR, **more):
    return LocationRecord(aor, (Binding("sip:a@192.0.2.1", time.time() + 600, time.time(), "call", 1),), **more)


@pytest.fixture
async def store(tmp_path):
    opened = SqliteLocationStore(tmp_path / "location.db")
    yield opened
    await opened.close()


@contextlib.contextmanager
def locked(path, how="IMMEDIATE"):
    """The file as another process has it that writes and does not come to an end."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {how}")
        yield other


# Others' locks.


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
async def test_look_ups_do_not_wait_behind_writers(store, how):
    service = await LocationService.create(store, SETTINGS)
    gruu = (await service.register(register("alice", 1), user="alice")).contacts[0].parameter("temp-gruu")
    with locked(store.path, how):
        saves = [asyncio.ensure_future(store.save(record(f"u{number}@example.com"))) for number in range(5)]
        await asyncio.sleep(0)
        async with asyncio.timeout(1):
            assert len((await store.load(AOR)).bindings) == 1
            assert len((await service.locate(URI)).groups) == 1
            assert len((await service.locate(SipUri.parse(gruu))).groups) == 1
        assert not any(one.done() for one in saves)
    assert await asyncio.gather(*saves) == [True] * 5


@pytest.mark.parametrize("count", [1, 20])
async def test_a_register_that_cannot_be_saved_in_time_hears_503(store, count, monkeypatch):
    """All of them in the time of one, and the next is served as ever."""
    monkeypatch.setattr(location_sqlite, "BUSY_TIMEOUT", 0.3)
    store = SqliteLocationStore(store.path)
    service = await LocationService.create(store, SETTINGS)
    users = [f"u{number}" for number in range(count)]
    with locked(store.path):
        started = time.monotonic()
        responses = await asyncio.gather(*(service.register(register(user, 1), user=user) for user in users))
        assert time.monotonic() - started < 2
    assert {(one.status, one.headers.get("Retry-After")) for one in responses} == {(503, "1")}
    assert (await service.register(register("alice", 2), user="alice")).status == 200
    await store.close()


class SlowStore(MemoryLocationStore):
    """One that does not come to an end, at what `slow` names."""

    slow = ""

    async def load(self, aor):
        return await (asyncio.Event().wait() if self.slow == "load" else super().load(aor))

    async def save(self, record):
        return await (asyncio.Event().wait() if self.slow == "save" else super().save(record))

    async def purge(self, now):
        return await (asyncio.Event().wait() if self.slow == "purge" else super().purge(now))


@pytest.mark.parametrize(("slow", "status"), [("load", 503), ("save", 503), ("purge", 200)])
async def test_the_wait_of_a_register_is_bounded_as_a_whole(slow, status):
    store = SlowStore()
    store.slow = slow
    service = await LocationService.create(store, SETTINGS)
    service._timeout = 0.1
    async with asyncio.timeout(5):
        response = await service.register(register("alice", 1), user="alice")
        assert response.status == status
        if slow == "load":
            with pytest.raises(LocationStoreError):
                await service.locate(URI)


async def test_what_nobody_waits_for_any_more_is_not_saved(store):
    service = await LocationService.create(store, SETTINGS)
    service._timeout = 0.1
    with locked(store.path):
        first = asyncio.ensure_future(store.save(record(BOB)))
        await asyncio.sleep(0)
        assert (await service.register(register("alice", 1), user="alice")).status == 503
    assert await first
    assert (await store.load(AOR)).bindings == ()


async def test_the_queue_of_writes_is_bounded(store, monkeypatch):
    monkeypatch.setattr(location_sqlite, "MAX_WAITING", 10, raising=False)
    with locked(store.path):
        saves = [asyncio.ensure_future(store.save(record(f"u{number}@example.com"))) for number in range(30)]
        done, waiting = await asyncio.wait(saves, timeout=0.2)
        assert (len(done), len(waiting)) == (20, 10)
        assert all(isinstance(one.exception(), LocationStoreError) for one in done)
    assert all(await asyncio.gather(*waiting))


# Many at once.


def transactions(store):
    """The COMMITs of the writing connection from now on."""
    seen = []

    def trace(statement):
        if statement == "COMMIT":
            seen.append(statement)

    store._thread.submit(store._connection.set_trace_callback, trace).result()
    return seen


async def test_registers_at_once_share_the_wait_for_the_disk(store):
    service = await LocationService.create(store, SETTINGS)
    commits = transactions(store)
    users = [f"u{number}" for number in range(300)]
    responses = await asyncio.gather(*(service.register(register(user, 1), user=user) for user in users))
    assert {one.status for one in responses} == {200}
    assert len(commits) < 100
    other = SqliteLocationStore(store.path)
    assert all([len((await other.load(f"{user}@example.com")).bindings) == 1 for user in users])
    await other.close()


async def test_one_that_fails_takes_no_other_with_it(store):
    """Of those that share a transaction: one too large, one late, one with another's GRUU, one whose text is none."""
    bob = record(BOB, instances=(Instance("i", 7),))
    assert await store.save(bob)
    huge = replace(record("huge@example.com").bindings[0], contact="sip:" + "x" * (2 << 20))
    with locked(store.path):
        saves = [
            asyncio.ensure_future(store.save(one))
            for one in (
                record("one@example.com"),
                LocationRecord("huge@example.com", (huge,)),
                record("late@example.com", version="an old one"),
                record("thief@example.com", instances=(Instance("i", 7),)),
                record("\ud800@example.com"),
                record("two@example.com"),
            )
        ]
        await asyncio.sleep(0.05)
    outcomes = await asyncio.gather(*saves, return_exceptions=True)
    assert [isinstance(one, LocationStoreError) or one for one in outcomes] == [True, True, False, False, True, True]
    assert [isinstance(one, LocationStoreError) for one in outcomes] == [False, True, False, False, True, False]
    for aor, count in (("one@example.com", 1), ("huge@example.com", 0), ("two@example.com", 1)):
        assert len((await store.load(aor)).bindings) == count


async def test_purging_goes_in_pieces_and_takes_what_has_no_time(store):
    commits = transactions(store)
    old = [replace(record(f"u{number}@example.com").bindings[0], expires_at=1.0) for number in range(1200)]
    await asyncio.gather(*(store.save(LocationRecord(f"u{n}@example.com", (one,))) for n, one in enumerate(old)))
    insert = "INSERT INTO records VALUES ('x@example.com', 'v', 'never', '{}')"
    store._thread.submit(store._connection.execute, insert).result()
    commits.clear()
    assert await store.purge(2.0) == 1201
    assert len(commits) == 3


# The file.


def moved(path):
    os.rename(path, f"{path}.moved")
    return lambda: os.rename(f"{path}.moved", path)


def replaced(path):
    back = moved(path)
    path.write_bytes(b"")
    return back


@pytest.mark.parametrize("which", ["location.db", "location.db-wal"])
@pytest.mark.parametrize("lose", [moved, replaced])
async def test_a_file_that_is_gone_is_not_acknowledged_into(store, which, lose):
    service = await LocationService.create(store, SETTINGS)
    assert (await service.register(register("alice", 1), user="alice")).status == 200
    put_back = lose(store.path.with_name(which))
    assert (await service.register(register("bob", 1), user="bob")).status == 500
    with pytest.raises(LocationStoreError, match=r"location\.db"):
        await store.save(record("carol@example.com"))
    # Who is known stays known.
    assert len((await service.locate(URI)).groups) == 1
    put_back()
    assert (await service.register(register("bob", 2), user="bob")).status == 200


async def test_a_closed_store_says_so(tmp_path):
    store = SqliteLocationStore(tmp_path / "location.db")
    await store.close()
    await store.close()
    for asked in (store.save(record()), store.save(record()), store.load(AOR), store.purge(1.0)):
        with pytest.raises(LocationStoreError):
            await asyncio.wait_for(asked, 5)


# Others' rubbish.

GOOD = json.loads(record().to_json())


def changed(**more):
    return json.dumps({"bindings": [{**GOOD["bindings"][0], **more}], "instances": []})


RUBBISH = {
    "no JSON": "{",
    "another JSON": "[]",
    "nothing": "",
    "deep": "[" * 100_000,
    "huge": changed(contact="sip:" + "x" * (2 << 20)),
    "huge number": '{"bindings": [], "instances": [{"id": "i", "gruu_index": ' + "9" * 5000 + "}]}",
    "wide index": '{"bindings": [], "instances": [{"id": "i", "gruu_index": 18446744073709551616}]}',
    "bindings no list": '{"bindings": 3, "instances": []}',
    "binding no object": '{"bindings": ["x"], "instances": []}',
    "key missing": '{"bindings": [{"contact": "sip:a@b"}], "instances": []}',
    "time a text": changed(expires_at="soon"),
    "time no number": changed(expires_at=float("nan")),
    "time without end": changed(expires_at=float("inf")),
    "contact a number": changed(contact=5),
    "contact no URI": changed(contact="no URI"),
    "cseq a text": changed(cseq="1"),
    "q nothing": changed(q=None),
    "path a text": changed(path="<sip:a;lr>"),
    "parameters of one": changed(parameters=[["x"]]),
    "call_id a list": changed(call_id=[]),
    "unknown key": changed(colour="red"),
}


class SqliteRubbish:
    """Puts rubbish into a store's file."""

    def __init__(self, path):
        self.path = path
        self.store = SqliteLocationStore(path)

    def put(self, text, version="v1"):
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("DELETE FROM records WHERE aor = ?", (AOR,))
            other.execute("INSERT INTO records VALUES (?, ?, ?, ?)", (AOR, version, time.time() + 600, text))


class RedisRubbish:
    """Puts rubbish under a store's keys."""

    def __init__(self, url):
        self.redis = Redis.from_url(url)
        self.redis.flushall()
        self.store = RedisLocationStore(url)

    def put(self, text, version="v1"):
        key = f"securertc:aor:{AOR}"
        self.redis.delete(key)
        fields = {"version": version, "record": text}
        self.redis.hset(key, mapping={name: value for name, value in fields.items() if value is not None})


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.interop("redis-server"))])
async def stage(request, tmp_path):
    if request.param == "sqlite":
        made = SqliteRubbish(tmp_path / "location.db")
    else:
        made = RedisRubbish(request.getfixturevalue("redis_server").url)
    yield made
    await made.store.close()


async def is_passed_over(store):
    """Whose record is rubbish is not registered, is counted, and may register; others notice nothing."""
    service = await LocationService.create(store, SETTINGS)
    assert (await service.register(register("bob", 1), user="bob")).status == 200
    with pytest.raises(LocationStoreError, match="cannot be read"):
        await store.load(AOR)
    assert (await service.locate(URI)).groups == ()
    assert service.skipped == 1
    assert len((await service.locate(BOBS)).groups) == 1
    assert (await service.register(register("alice", 1), user="alice")).status == 200
    assert len((await service.locate(URI)).groups) == 1
    assert service.skipped == 2
    assert (await service.register(register("alice", 2, expires=0), user="alice")).status == 200
    assert (await store.load(AOR)).bindings == ()


@pytest.mark.parametrize("name", RUBBISH)
async def test_a_record_that_cannot_be_read_is_passed_over(stage, name):
    stage.put(RUBBISH[name])
    await is_passed_over(stage.store)


@pytest.mark.parametrize("version", ["", "v" * 65, b"\xff\xfe", None])
async def test_a_version_that_cannot_be_read_is_none(stage, version):
    if version is None and isinstance(stage, SqliteRubbish):
        version = b""
    stage.put(record().to_json(), version)
    await is_passed_over(stage.store)


@pytest.mark.interop("redis-server")
@pytest.mark.parametrize("kind", ["string", "list", "set"])
async def test_a_key_of_another_kind_is_passed_over(redis_server, kind):
    stage = RedisRubbish(redis_server.url)
    key = f"securertc:aor:{AOR}"
    {"string": stage.redis.set, "list": stage.redis.lpush, "set": stage.redis.sadd}[kind](key, "x")
    await is_passed_over(stage.store)
    await stage.store.close()


@pytest.mark.parametrize("secret", [b"", b"short", b"x" * 33, "text" * 8])
async def test_a_secret_that_is_none_is_refused(stage, secret):
    if isinstance(stage, SqliteRubbish):
        with contextlib.closing(sqlite3.connect(stage.path, isolation_level=None)) as other:
            other.execute("INSERT INTO secrets VALUES (1, ?)", (secret,))
    elif isinstance(secret, str):
        stage.redis.lpush("securertc:secret", secret)
    else:
        stage.redis.set("securertc:secret", secret)
    with pytest.raises(LocationStoreError):
        await LocationService.create(stage.store, SETTINGS)


async def test_a_gruu_that_leads_to_rubbish_is_not_valid(stage):
    service = await LocationService.create(stage.store, SETTINGS)
    service.registrar.gruus = TemporaryGruus(SecretBytes(bytes(32)))
    gruu = service.registrar.gruus.create(5, "example.com")
    if isinstance(stage, SqliteRubbish):
        with contextlib.closing(sqlite3.connect(stage.path, isolation_level=None)) as other:
            other.execute("INSERT INTO gruus VALUES (5, ?)", ("x" * (2 << 20),))
    else:
        stage.redis.lpush(f"securertc:gruu:{5:016x}", "x")
    assert await service.locate(gruu) is None


async def test_a_path_that_cannot_be_read_spoils_no_other_binding():
    store = MemoryLocationStore()
    service = await LocationService.create(store, SETTINGS)
    good = record().bindings[0]
    await store.save(LocationRecord(AOR, (good, replace(good, contact="sip:b@192.0.2.2", path=("rubbish",)))))
    assert [[one.contact for one in group] for group in (await service.locate(URI)).groups] == [[good.contact]]


PATHS = ", ".join(f"<sip:{'p' * 900}{number}@a;lr>" for number in range(9))


@pytest.mark.parametrize(
    ("name", "value"), [("Call-ID", "c" * 9000), ("Path", PATHS), ("Contact", f"<sip:a@b>;x={'x' * 9000}")]
)
async def test_all_that_is_kept_of_a_contact_is_bounded(name, value):
    service = await LocationService.create(MemoryLocationStore(), SETTINGS)
    request = register("alice", 1)
    if name in request.headers:
        request.headers.remove(name)
    request.headers.add(name, value)
    request.headers.add("Supported", "path")
    assert (await service.register(request, user="alice")).status == 403


async def test_all_contacts_together_are_bounded():
    service = await LocationService.create(MemoryLocationStore(), SETTINGS)
    found = set()
    for number in range(1, 20):
        request = register("alice", number)
        request.headers.remove("Contact")
        request.headers.add("Contact", f"<sip:{number}@b>;x={'x' * 8000}")
        found.add((number <= 8, (await service.register(request, user="alice")).status))
    assert found == {(True, 200), (False, 403)}


# What the log says.


class FailingStore(MemoryLocationStore):
    failing = False

    async def load(self, aor):
        if self.failing:
            raise LocationStoreError("out of order\n\x9b2J")
        return await super().load(aor)

    async def save(self, record):
        if self.failing:
            raise LocationStoreError("out of order\n\x9b2J")
        return await super().save(record)


async def test_one_line_when_a_store_begins_to_fail_and_one_when_it_recovers(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    store = FailingStore()
    service = await LocationService.create(store, SETTINGS)
    now = [1000.0]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now[0])
    for turn in range(3):
        for store.failing in (True, False):
            for _ in range(20):
                now[0] += 0.1
                with contextlib.suppress(LocationStoreError):
                    await service.locate(URI)
            [line] = [one.getMessage() for one in caplog.records]
            assert line.isprintable()
            assert ("fails at look-ups: out of order" in line, "works again" in line) == (
                store.failing,
                not store.failing,
            )
            if not store.failing:
                assert "20 failures" in line
            caplog.clear()
        now[0] += 20
        assert turn < 3


async def test_a_store_that_comes_and_goes_does_not_fill_the_log(caplog, monkeypatch):
    store = FailingStore()
    service = await LocationService.create(store, SETTINGS)
    now = [1000.0]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now[0])
    for number in range(1000):
        now[0] += 0.01
        store.failing = number % 2 == 0
        with contextlib.suppress(LocationStoreError):
            await service.locate(URI)
    assert 2 <= len(caplog.records) <= 4


async def test_saves_that_fail_are_told_of_apart_from_look_ups(store, caplog, monkeypatch):
    """Look-ups go on, and do not make it look as if all were well."""
    service = await LocationService.create(store, SETTINGS)
    put_back = moved(store.path)
    for number in range(1, 6):
        assert (await service.register(register("alice", number), user="alice")).status == 500
        await service.locate(URI)
    put_back()
    assert (await service.register(register("alice", 9), user="alice")).status == 200
    first, second = [one.getMessage() for one in caplog.records]
    assert "fails at saves" in first
    assert "works again at saves, after 5 failures" in second


@pytest.mark.interop("redis-server")
async def test_a_redis_that_is_silent_and_one_that_is_gone(tmp_path, caplog):
    """Silence is 503 in time, a refused connection 500, and both are told of once and over once it is back."""
    with RedisServer(tmp_path) as server:
        store = RedisLocationStore(server.url)
        service = await LocationService.create(store, SETTINGS)
        service._timeout = 0.3
        assert (await service.register(register("alice", 1), user="alice")).status == 200
        server._process.send_signal(signal.SIGSTOP)
        for number in range(2, 5):
            started = time.monotonic()
            assert (await service.register(register("alice", number), user="alice")).status == 503
            with pytest.raises(LocationStoreError):
                await service.locate(URI)
            assert time.monotonic() - started < 2
        server._process.send_signal(signal.SIGCONT)
        assert len((await service.locate(URI)).groups) == 1
        assert [("fails" in one.getMessage(), "again" in one.getMessage()) for one in caplog.records] == [
            (True, False),
            (False, True),
        ]
        service._timeout = 10
        server.stop()
        assert (await service.register(register("alice", 6), user="alice")).status == 500
        await store.close()
