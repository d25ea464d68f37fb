"""A location store in one SQLite file: survives the death of the process, and serves several on one machine."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from srtp import SecretBytes

from .errors import LocationStoreError
from .location import ABSENT, SECRET_BYTES, LocationRecord, new_version

SCHEMA_VERSION = 1
BUSY_TIMEOUT = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    aor TEXT PRIMARY KEY, version TEXT NOT NULL, expires_at REAL NOT NULL, record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_by_expiry ON records (expires_at);
CREATE TABLE IF NOT EXISTS gruus (gruu_index INTEGER PRIMARY KEY, aor TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS gruus_by_aor ON gruus (aor);
CREATE TABLE IF NOT EXISTS secrets (id INTEGER PRIMARY KEY CHECK (id = 1), secret BLOB NOT NULL);
"""
_INSERT = "INSERT INTO records (version, expires_at, record, aor) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_UPDATE = "UPDATE records SET version = ?, expires_at = ?, record = ? WHERE aor = ? AND version = ?"
_DELETE = "DELETE FROM records WHERE aor = ? AND version = ?"

_Result = TypeVar("_Result")


class SqliteLocationStore:
    """A LocationStore in the file `path`, made when it is not there, readable to its owner only.

    It writes ahead (WAL) and waits for the disk at every save, so that what was acknowledged survives both
    the process and the power. Its work is done in a thread of its own. Raises LocationStoreError when the file
    cannot be opened, or was written by a version that is not known.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="location-sqlite")
        try:
            self._connection = self._thread.submit(self._open).result()
        except BaseException:
            self._thread.shutdown()
            raise

    async def load(self, aor: str) -> LocationRecord:
        """See LocationStore."""
        query = "SELECT version, record FROM records WHERE aor = ?"
        row = await self._run(lambda: self._connection.execute(query, (aor,)).fetchone())
        return LocationRecord(aor) if row is None else LocationRecord.from_json(aor, row[0], row[1])

    async def save(self, record: LocationRecord) -> bool:
        """See LocationStore."""
        return await self._run(lambda: self._in_transaction(lambda: self._save(record)))

    async def aor_of(self, gruu_index: int) -> str | None:
        """See LocationStore."""
        query = "SELECT aor FROM gruus WHERE gruu_index = ?"
        row = await self._run(lambda: self._connection.execute(query, (_signed(gruu_index),)).fetchone())
        return None if row is None else str(row[0])

    async def secret(self) -> SecretBytes:
        """See LocationStore."""
        return await self._run(lambda: self._in_transaction(self._secret))

    async def purge(self, now: float) -> int:
        """See LocationStore."""
        return await self._run(lambda: self._in_transaction(lambda: self._purge(now)))

    async def close(self) -> None:
        """See LocationStore."""
        await self._run(self._connection.close)
        self._thread.shutdown()

    def _open(self) -> sqlite3.Connection:
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None)
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

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, RuntimeError) as error:
            raise LocationStoreError(f"{self.path}: {error}") from None

    def _in_transaction(self, work: Callable[[], _Result]) -> _Result:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = work()
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return result

    def _save(self, record: LocationRecord) -> bool:
        execute = self._connection.execute
        taken = "SELECT 1 FROM gruus WHERE gruu_index = ? AND aor <> ?"
        indices = [_signed(index) for index in record.gruu_indices]
        if any(execute(taken, (index, record.aor)).fetchone() for index in indices):
            return False
        fields = (new_version(), record.expires_at, record.to_json())
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
        return SecretBytes(self._connection.execute("SELECT secret FROM secrets").fetchone()[0])

    def _purge(self, now: float) -> int:
        dead = "SELECT aor FROM records WHERE expires_at <= ?"
        self._connection.execute(f"DELETE FROM gruus WHERE aor IN ({dead})", (now,))  # noqa: S608  # constants only
        return self._connection.execute("DELETE FROM records WHERE expires_at <= ?", (now,)).rowcount


def _signed(gruu_index: int) -> int:
    """SQLite's integers are signed ones of 64 bits."""
    return gruu_index - (1 << 64) if gruu_index >> 63 else gruu_index
