"""A location store in Redis: for several registrars and proxies that serve one domain. Needs the extra `redis`."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from srtp import SecretBytes

from .errors import LocationStoreError
from .location import SECRET_BYTES, LocationRecord, new_version

TIMEOUT = 5.0
# KEYS: the record, then the indices that were valid before, then those valid from now on.
# ARGV: the version wanted, the new one ("" removes), the JSON, the expiry in milliseconds, the aor, and how many
# of the keys were valid before.
_SAVE = """
if (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[1] then return 0 end
local before = tonumber(ARGV[6])
for i = 2 + before, #KEYS do
    local owner = redis.call('GET', KEYS[i])
    if owner and owner ~= ARGV[5] then return 0 end
end
for i = 2, 1 + before do redis.call('DEL', KEYS[i]) end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) return 1 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'record', ARGV[3])
redis.call('PEXPIREAT', KEYS[1], ARGV[4])
for i = 2 + before, #KEYS do redis.call('SET', KEYS[i], ARGV[5], 'PXAT', ARGV[4]) end
return 1
"""

_Result = TypeVar("_Result")


class RedisLocationStore:
    """A LocationStore in the Redis (6.2 or newer) at `url`, such as "redis://127.0.0.1:6379/0" or "rediss://…".

    All keys start with `prefix`. Records expire there by themselves. How long an acknowledged save lasts is
    Redis's own matter: `appendonly yes` with `appendfsync always` keeps it through a crash of Redis.
    """

    def __init__(self, url: str, *, prefix: str = "securertc:") -> None:
        self._redis = Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        self._prefix = prefix
        self._save = self._redis.register_script(_SAVE)

    async def load(self, aor: str) -> LocationRecord:
        """See LocationStore."""
        version, text = map(_text, await _asked(self._redis.hmget(self._key(aor), "version", "record")))
        if version is None or text is None:
            return LocationRecord(aor)
        return LocationRecord.from_json(aor, version, text)

    async def save(self, record: LocationRecord) -> bool:
        """See LocationStore."""
        before = await self.load(record.aor)
        if before.version != record.version:
            return False
        old, new = (sorted(self._index_key(index) for index in one.gruu_indices) for one in (before, record))
        version = new_version() if record.bindings else ""
        milliseconds = int(record.expires_at * 1000)
        arguments = (record.version, version, record.to_json(), milliseconds, record.aor, len(old))
        keys = (self._key(record.aor), *old, *(new if record.bindings else ()))
        return bool(await _asked(self._save(keys=keys, args=arguments)))

    async def aor_of(self, gruu_index: int) -> str | None:
        """See LocationStore."""
        return _text(await _asked(self._redis.get(self._index_key(gruu_index))))

    async def secret(self) -> SecretBytes:
        """See LocationStore."""
        key = f"{self._prefix}secret"
        await _asked(self._redis.set(key, secrets.token_bytes(SECRET_BYTES), nx=True))
        found = await _asked(self._redis.get(key))
        if not isinstance(found, bytes):
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
    except (RedisError, OSError, UnicodeDecodeError) as error:
        raise LocationStoreError(f"Redis: {error}") from None


def _text(value: bytes | str | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
