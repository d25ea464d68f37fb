"""A location store in memory: for one process, gone with it."""

from __future__ import annotations

import secrets
from dataclasses import replace

from srtp import SecretBytes

from .location import SECRET_BYTES, LocationRecord, new_version


class MemoryLocationStore:
    """A LocationStore that lives as long as the process."""

    def __init__(self) -> None:
        self._records: dict[str, LocationRecord] = {}
        self._aors: dict[int, str] = {}
        self._secret = SecretBytes(secrets.token_bytes(SECRET_BYTES))

    async def load(self, aor: str) -> LocationRecord:
        """See LocationStore."""
        return self._records.get(aor) or LocationRecord(aor)

    async def save(self, record: LocationRecord) -> bool:
        """See LocationStore."""
        before = self._records.get(record.aor) or LocationRecord(record.aor)
        if before.version != record.version:
            return False
        if any(self._aors.get(index, record.aor) != record.aor for index in record.gruu_indices):
            return False
        for index in before.gruu_indices:
            del self._aors[index]
        if record.bindings:
            self._records[record.aor] = replace(record, version=new_version())
            self._aors.update(dict.fromkeys(record.gruu_indices, record.aor))
        else:
            self._records.pop(record.aor, None)
        return True

    async def aor_of(self, gruu_index: int) -> str | None:
        """See LocationStore."""
        return self._aors.get(gruu_index)

    async def secret(self) -> SecretBytes:
        """See LocationStore."""
        return self._secret

    async def purge(self, now: float) -> int:
        """See LocationStore."""
        dead = [record for record in self._records.values() if record.expires_at <= now]
        for record in dead:
            await self.save(replace(record, bindings=(), instances=()))
        return len(dead)

    async def close(self) -> None:
        """See LocationStore."""
        self._records.clear()
        self._aors.clear()
