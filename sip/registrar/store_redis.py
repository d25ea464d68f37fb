"""A location store in Redis: for several registrars and proxies that serve one domain. Needs the extra `redis`."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from typing import TypeVar

from ..errors import MissingExtraError

try:
    from redis.asyncio import Redis
    from redis.exceptions import RedisError
    from redis.exceptions import TimeoutError as RedisTimeoutError
except ModuleNotFoundError:
    raise MissingExtraError("RedisLocationStore", extra="redis") from None

from srtp import SecretBytes

from ..errors import LocationRecordError, LocationStoreBusyError, LocationStoreError
from .location import MAX_RECORD_BYTES, MAX_VERSION, SECRET_BYTES, LocationRecord, checked_version, new_version

TIMEOUT = 5.0
# An address-of-record is a part of a message, and no larger.
_MAX_AOR = 65536
_STORED_VERSION = f"""
local kind = redis.call('TYPE', KEYS[1]).ok
local version = ''
if kind == 'hash' and redis.call('HSTRLEN', KEYS[1], 'version') <= {MAX_VERSION} then
    version = string.match(redis.call('HGET', KEYS[1], 'version') or '', '^%w+$') or ''
end
"""
# KEYS: the record. Returns its version and its JSON, or "" and what is wrong with it where that is the third.
_LOAD = f"""{_STORED_VERSION}
if kind == 'none' then return {{}} end
if kind ~= 'hash' then return {{version, '', 'it is a ' .. kind}} end
local size = redis.call('HSTRLEN', KEYS[1], 'record')
if size > {MAX_RECORD_BYTES} then return {{version, '', 'it has ' .. size .. ' bytes'}} end
return {{version, redis.call('HGET', KEYS[1], 'record') or ''}}
"""
# KEYS: the record, then the indices that were valid before, then those valid from now on.
# ARGV: the version wanted, the new one ("" removes), the JSON, the expiry in milliseconds, the aor, and how many
# of the keys were valid before. What has no version, or none that can be read, is as absent.
_SAVE = f"""{_STORED_VERSION}
if version ~= ARGV[1] then return 0 end
local before = tonumber(ARGV[6])
for i = 2 + before, #KEYS do
    local owner = redis.call('GET', KEYS[i])
    if owner and owner ~= ARGV[5] then return 0 end
end
for i = 2, 1 + before do redis.call('DEL', KEYS[i]) end
if ARGV[2] == '' or kind ~= 'hash' then redis.call('DEL', KEYS[1]) end
if ARGV[2] == '' then return 1 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'record', ARGV[3])
redis.call('PEXPIREAT', KEYS[1], ARGV[4])
for i = 2 + before, #KEYS do redis.call('SET', KEYS[i], ARGV[5], 'PXAT', ARGV[4]) end
return 1
"""

_Result = TypeVar("_Result")


class _WrongKindError(LocationStoreError):
    """A key holds another kind of value than ours do."""


class RedisLocationStore:
    """A LocationStore in the Redis (6.2 or newer) at `url`, such as "redis://127.0.0.1:6379/0" or "rediss://…".

    All keys start with `prefix`. Records expire there by themselves. How long an acknowledged save lasts is
    Redis's own matter: `appendonly yes` with `appendfsync always` keeps it through a crash of Redis.
    """

    def __init__(self, url: str, *, prefix: str = "securertc:") -> None:
        self._redis = Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        self._prefix = prefix
        self._load = self._redis.register_script(_LOAD)
        self._save = self._redis.register_script(_SAVE)

    async def load(self, aor: str) -> LocationRecord:
        """See LocationStore."""
        answer = await _asked(self._load(keys=(self._key(aor),)))
        if not answer:
            return LocationRecord(aor)
        version, text, *wrong = (_text(one) or "" for one in answer)
        if wrong:
            raise LocationRecordError(wrong[0], aor=aor, version=version)
        if not version:  # may be overwritten by whoever saves first
            raise LocationRecordError("it has no version", aor=aor, version="")
        return LocationRecord.from_json(aor, checked_version(aor, version), text)

    async def save(self, record: LocationRecord) -> bool:
        """See LocationStore."""
        try:
            before = await self.load(record.aor)
        except LocationRecordError as error:  # its indices expire by themselves
            before = LocationRecord(record.aor, version=error.version or "")
        if before.version != record.version:
            return False
        text = record.to_json()
        if len(text) > MAX_RECORD_BYTES:
            raise LocationStoreError(f"Redis: the record of {record.aor!a} would have {len(text)} bytes")
        old, new = (sorted(self._index_key(index) for index in one.gruu_indices) for one in (before, record))
        version = new_version() if record.bindings else ""
        milliseconds = int(record.expires_at * 1000)
        arguments = (record.version, version, text, milliseconds, record.aor, len(old))
        keys = (self._key(record.aor), *old, *(new if record.bindings else ()))
        return bool(await _asked(self._save(keys=keys, args=arguments)))

    async def aor_of(self, gruu_index: int) -> str | None:
        """See LocationStore."""
        try:
            found = await _asked(self._redis.getrange(self._index_key(gruu_index), 0, _MAX_AOR))
        except _WrongKindError as error:
            raise LocationRecordError(str(error), aor=f"GRUU {gruu_index:016x}", version=None) from None
        return _text(found) or None

    async def secret(self) -> SecretBytes:
        """See LocationStore."""
        key = f"{self._prefix}secret"
        await _asked(self._redis.set(key, secrets.token_bytes(SECRET_BYTES), nx=True))
        found = await _asked(self._redis.getrange(key, 0, SECRET_BYTES))
        if not isinstance(found, bytes) or len(found) != SECRET_BYTES:
            raise LocationStoreError("Redis does not keep what was written to it")
        return SecretBytes(found)

    async def purge(self, now: float) -> int:
        """Does nothing and returns 0: Redis removes what has expired."""
        return 0

    async def close(self) -> None:
        """See LocationStore."""
        await _asked(self._redis.aclose())

    def _key(self, aor: str) -> str:
        return f"{self._prefix}aor:{aor}"

    def _index_key(self, gruu_index: int) -> str:
        return f"{self._prefix}gruu:{gruu_index:016x}"


async def _asked(asked: Awaitable[_Result]) -> _Result:
    try:
        return await asked
    except (RedisTimeoutError, TimeoutError) as error:
        raise LocationStoreBusyError(f"Redis: {error}") from None
    except (RedisError, OSError, UnicodeError) as error:
        if str(error).startswith("WRONGTYPE"):
            raise _WrongKindError(f"Redis: {error}") from None
        raise LocationStoreError(f"Redis: {error}") from None


def _text(value: bytes | str | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
