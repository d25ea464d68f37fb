"""A location store in one SQLite file: survives the death of the process, and serves several on one machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from srtp import SecretBytes

from ..errors import LocationRecordError, LocationStoreBusyError, LocationStoreError
from .location import (
    ABSENT,
    MAX_RECORD_BYTES,
    MAX_VERSION,
    SECRET_BYTES,
    LocationRecord,
    checked_version,
    new_version,
)

SCHEMA_VERSION = 1
# Seconds to wait for another process to end its transaction. Looking up waits for that only while the file is opened
# or recovered.
BUSY_TIMEOUT = 4.0
READ_TIMEOUT = 1.0
# Of the writes that wait: how many may, and how many share one transaction and one wait for the disk.
MAX_WAITING = 1000
MAX_TOGETHER = 256
# What is purged in one transaction, so that nobody waits long for it.
PURGED_TOGETHER = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    aor TEXT PRIMARY KEY, version TEXT NOT NULL, expires_at REAL NOT NULL, record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_by_expiry ON records (expires_at);
CREATE TABLE IF NOT EXISTS gruus (gruu_index INTEGER PRIMARY KEY, aor TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS gruus_by_aor ON gruus (aor);
CREATE TABLE IF NOT EXISTS secrets (id INTEGER PRIMARY KEY CHECK (id = 1), secret BLOB NOT NULL);
"""
# One whose version cannot be read has none.
_INSERT = f"""
INSERT INTO records (version, expires_at, record, aor) VALUES (?, ?, ?, ?) ON CONFLICT (aor) DO UPDATE
SET version = excluded.version, expires_at = excluded.expires_at, record = excluded.record
WHERE typeof(records.version) <> 'text' OR length(records.version) NOT BETWEEN 1 AND {MAX_VERSION}
"""  # noqa: S608  # a constant of ours
_UPDATE = "UPDATE records SET version = ?, expires_at = ?, record = ? WHERE aor = ? AND version = ?"
_DELETE = "DELETE FROM records WHERE aor = ? AND version = ?"

# A time that is no number is greater than any.
_DEAD = "SELECT aor FROM records WHERE expires_at <= ? OR expires_at > 1e300 LIMIT ?"

_Result = TypeVar("_Result")
_Write = tuple[Callable[[], Any], "Future[Any]"]


class SqliteLocationStore:
    """A LocationStore in the file `path`, made when it is not there, readable to its owner only.

    It writes ahead (WAL) and waits for the disk at every save, so that what was acknowledged survives both
    the process and the power; saves that come together share one transaction. Looking up has a connection of its own,
    which no writer holds up, of whatever process. A save that cannot begin within BUSY_TIMEOUT seconds raises
    LocationStoreBusyError. When the file is deleted or another one put in its place, nothing is acknowledged any more.
    The work is done in two threads. Raises LocationStoreError when the file cannot be opened, or was written by a
    version that is not known.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="location-sqlite")
        self._reading_thread = ThreadPoolExecutor(1, thread_name_prefix="location-sqlite-reader")
        self._lock = threading.Lock()
        self._waiting: deque[_Write] = deque()
        self._writing = self._closed = False
        try:
            self._connection = self._thread.submit(self._open).result()
            self._files = self._identities()
            self._reader = self._reading_thread.submit(self._open_reader).result()
        except BaseException:
            self._thread.shutdown()
            self._reading_thread.shutdown()
            raise

    async def load(self, aor: str) -> LocationRecord:
        """See LocationStore."""
        try:
            row = await self._read("SELECT version, record FROM records WHERE aor = ?", aor)
        except sqlite3.DataError as error:  # larger than what may be read
            raise LocationRecordError(str(error), aor=aor, version=await self._version(aor)) from None
        if row is None:
            return LocationRecord(aor)
        version = checked_version(aor, row[0])
        if not isinstance(row[1], str):
            raise LocationRecordError("it is no text", aor=aor, version=version)
        return LocationRecord.from_json(aor, version, row[1])

    async def _version(self, aor: str) -> str | None:
        try:
            row = await self._read("SELECT version FROM records WHERE aor = ?", aor)
            return None if row is None else checked_version(aor, row[0])
        except (sqlite3.DataError, LocationRecordError):
            return None

    async def save(self, record: LocationRecord) -> bool:
        """See LocationStore."""
        text = record.to_json()
        return await self._write(lambda: self._save(record, text))

    async def aor_of(self, gruu_index: int) -> str | None:
        """See LocationStore."""
        try:
            row = await self._read("SELECT aor FROM gruus WHERE gruu_index = ?", _signed(gruu_index))
        except sqlite3.DataError as error:
            raise LocationRecordError(str(error), aor=f"GRUU {gruu_index:016x}", version=None) from None
        return None if row is None else str(row[0])

    async def secret(self) -> SecretBytes:
        """See LocationStore."""
        return await self._write(self._secret)

    async def purge(self, now: float) -> int:
        """See LocationStore."""
        purged = 0
        while True:
            found = await self._write(lambda: self._purge(now))
            purged += found
            if found < PURGED_TOGETHER:
                return purged

    async def close(self) -> None:
        """See LocationStore."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for thread, connection in ((self._reading_thread, self._reader), (self._thread, self._connection)):
            await asyncio.get_running_loop().run_in_executor(thread, connection.close)
            thread.shutdown()

    # Connections.

    def _open(self) -> sqlite3.Connection:
        try:
            with contextlib.suppress(FileExistsError):
                # Only a new one: to close a descriptor gives up all locks of this process on the file.
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
            connection = self._connect(BUSY_TIMEOUT)
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
            known = connection.execute("PRAGMA user_version").fetchone()[0]
            if known not in (0, SCHEMA_VERSION):
                connection.close()
                raise LocationStoreError(f"{self.path} has version {known}, not {SCHEMA_VERSION}")
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        except (OSError, sqlite3.Error) as error:
            raise LocationStoreError(f"{self.path} cannot be opened: {error}") from None
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        try:
            connection = self._connect(READ_TIMEOUT)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("SELECT 1 FROM records LIMIT 1").fetchone()  # opens it, while it is there
        except sqlite3.Error as error:
            raise LocationStoreError(f"{self.path} cannot be opened: {error}") from None
        return connection

    def _connect(self, timeout: float) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=timeout, isolation_level=None)
        # Of any text, and of a row: what somebody else has put there does not fill our memory.
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_RECORD_BYTES + 4096)
        return connection

    def _identities(self) -> tuple[tuple[int, int], ...]:
        """Which files these are that are written to."""
        try:
            files = [os.stat(self.path), os.stat(f"{self.path}-wal")]
        except OSError as error:
            raise LocationStoreError(f"{error.filename} is gone: {error.strerror}") from None
        return tuple((one.st_dev, one.st_ino) for one in files)

    # Reading.

    async def _read(self, query: str, key: str | int) -> Any:
        """Returns one row or None; raises sqlite3.DataError, too, for one that is too large."""
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._reading_thread, lambda: self._reader.execute(query, (key,)).fetchone()
            )
        except sqlite3.DataError:
            raise
        except (sqlite3.Error, RuntimeError, UnicodeError) as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> LocationStoreError:
        if isinstance(error, LocationStoreError):
            return error
        busy = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
        return (LocationStoreBusyError if busy else LocationStoreError)(f"{self.path}: {error}")

    # Writing: what waits shares a transaction.

    async def _write(self, work: Callable[[], _Result]) -> _Result:
        """Has `work` done within a transaction; returns what it returns once that is on the disk."""
        done: Future[_Result] = Future()
        with self._lock:
            if self._closed:
                raise LocationStoreError(f"{self.path} is closed")
            if len(self._waiting) >= MAX_WAITING:
                raise LocationStoreBusyError(f"{self.path}: {MAX_WAITING} writes wait already")
            self._waiting.append((work, done))
            begins, self._writing = not self._writing, True
        try:
            if begins:
                self._thread.submit(self._write_all)
            return await asyncio.wrap_future(done)
        except (sqlite3.Error, RuntimeError, UnicodeError, OverflowError) as error:
            raise self._failure(error) from None

    def _write_all(self) -> None:
        """Writes until nothing waits."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._writing = False
                    return
            self._write_together()

    def _write_together(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            for _, done in self._take(MAX_WAITING):
                done.set_exception(self._failure(error))
            return
        # Only now: more may have come while another process had the file.
        taken = self._take(MAX_TOGETHER)
        try:
            outcomes = [self._apart(work) for work, _ in taken]
            self._connection.execute("COMMIT")
            if self._identities() != self._files:
                raise LocationStoreError(f"{self.path} is another file than it was")
        except Exception as error:
            with contextlib.suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            for _, done in taken:
                done.set_exception(self._failure(error))
            return
        for (_, done), (result, failure) in zip(taken, outcomes, strict=True):
            if failure is None:
                done.set_result(result)
            else:
                done.set_exception(failure)

    def _take(self, count: int) -> list[_Write]:
        """Takes what waits from the queue, but for what nobody wants any more."""
        with self._lock:
            taken = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        return [(work, done) for work, done in taken if done.set_running_or_notify_cancel()]

    def _apart(self, work: Callable[[], Any]) -> tuple[Any, Exception | None]:
        """Does one of the works of a transaction, so that the others stand when it fails."""
        execute = self._connection.execute
        execute("SAVEPOINT one")
        try:
            result = work()
        except Exception as error:
            if not self._connection.in_transaction:  # SQLite has rolled back all of it: the disk is full, or worse
                raise
            execute("ROLLBACK TO one")
            execute("RELEASE one")
            return None, error
        execute("RELEASE one")
        return result, None

    def _save(self, record: LocationRecord, text: str) -> bool:
        execute = self._connection.execute
        taken = "SELECT 1 FROM gruus WHERE gruu_index = ? AND aor <> ?"
        indices = [_signed(index) for index in record.gruu_indices]
        if any(execute(taken, (index, record.aor)).fetchone() for index in indices):
            return False
        fields = (new_version(), record.expires_at, text)
        if not record.bindings:
            changed = record.version == ABSENT or execute(_DELETE, (record.aor, record.version)).rowcount == 1
        elif record.version == ABSENT:
            changed = execute(_INSERT, (*fields, record.aor)).rowcount == 1
        else:
            changed = execute(_UPDATE, (*fields, record.aor, record.version)).rowcount == 1
        if changed:
            execute("DELETE FROM gruus WHERE aor = ?", (record.aor,))
            rows = [(index, record.aor) for index in indices if record.bindings]
            self._connection.executemany("INSERT INTO gruus (gruu_index, aor) VALUES (?, ?)", rows)
        return changed

    def _secret(self) -> SecretBytes:
        fresh = secrets.token_bytes(SECRET_BYTES)
        self._connection.execute("INSERT INTO secrets (id, secret) VALUES (1, ?) ON CONFLICT DO NOTHING", (fresh,))
        found = self._connection.execute("SELECT secret FROM secrets").fetchone()[0]
        if not isinstance(found, bytes) or len(found) != SECRET_BYTES:
            raise LocationStoreError(f"{self.path}: the secret in it is none")
        return SecretBytes(found)

    def _purge(self, now: float) -> int:
        dead = self._connection.execute(_DEAD, (now, PURGED_TOGETHER)).fetchall()
        self._connection.executemany("DELETE FROM gruus WHERE aor = ?", dead)
        return self._connection.executemany("DELETE FROM records WHERE aor = ?", dead).rowcount


def _signed(gruu_index: int) -> int:
    """SQLite's integers are signed ones of 64 bits."""
    return gruu_index - (1 << 64) if gruu_index >> 63 else gruu_index
