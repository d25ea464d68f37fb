"""The location service: the registrar's rules over a store that it may share with others (RFC 3261 10)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..errors import LocationRecordError, LocationStoreBusyError, LocationStoreError
from ..message.message import Request, Response
from ..message.uri import SipUri
from .gruu import PREFIX, TemporaryGruus, instance_of
from .location import ABSENT, Located, LocationRecord, LocationStore, aor_key, select_bindings
from .registrar import MayRegister, Registrar, RegistrarSettings, is_own_address
from .store_health import SkippedRecords, StoreHealth

# How often a REGISTER is tried again because another one for the same address-of-record was quicker.
MAX_ATTEMPTS = 20
PURGE_INTERVAL = 300.0
# Seconds that a REGISTER or a look-up waits for the store in all.
STORE_TIMEOUT = 5.0

_Result = TypeVar("_Result")


class LocationService:
    """Answers REGISTERs and finds where an address-of-record or a GRUU is reached; keeps nothing but the store.

    `clock` gives seconds since 1970; nothing waits for the store longer than `timeout` seconds. A record that cannot be
    read is passed over and counted in `skipped`: nobody is registered there, until the next REGISTER replaces it. When
    looking up, or saving, begins to fail, and when it works again, the log gets one line. Make one with create().
    """

    def __init__(
        self,
        store: LocationStore,
        registrar: Registrar,
        *,
        clock: Callable[[], float] = time.time,
        timeout: float = STORE_TIMEOUT,
    ) -> None:
        self.store = store
        self.registrar = registrar
        self._clock = clock
        self._timeout = timeout
        self._purged_at = float("-inf")
        self._purging: asyncio.Task[None] | None = None
        self._reading = StoreHealth("look-ups")
        self._writing = StoreHealth("saves")
        self._skipped = SkippedRecords()

    @classmethod
    async def create(
        cls,
        store: LocationStore,
        settings: RegistrarSettings,
        *,
        may_register: MayRegister = is_own_address,
        clock: Callable[[], float] = time.time,
        timeout: float = STORE_TIMEOUT,  # noqa: ASYNC109  # of what the service does later
    ) -> LocationService:
        """Returns a service with GRUUs by the store's secret; raises LocationStoreError when the store fails."""
        gruus = TemporaryGruus(await store.secret())
        registrar = Registrar(settings, gruus=gruus, may_register=may_register)
        return cls(store, registrar, clock=clock, timeout=timeout)

    @property
    def skipped(self) -> int:
        """How often a record could not be read and was passed over."""
        return self._skipped.count

    async def register(self, request: Request, *, user: str | None, flow: str | None = None) -> Response:
        """Returns the response to a REGISTER that `user` sent, proven by Digest or TLS (None: unproven, 403).

        A 200 is returned only after the store has acknowledged; 500 when it fails, 503 when it does not get to it
        in `timeout` seconds.
        """
        aor = self.registrar.admit(request, user)
        if isinstance(aor, Response):
            return aor
        self._purge_soon()
        try:
            response = await self._register(request, aor, flow)
        except LocationStoreBusyError:
            response = None
        except LocationStoreError:
            return request.create_response(500)
        if response is None:
            response = request.create_response(503)
            response.headers.add("Retry-After", "1")
        return response

    async def _register(self, request: Request, aor: str, flow: str | None) -> Response | None:
        """Returns None when others were quicker all the time."""
        deadline = self._deadline()
        for _ in range(MAX_ATTEMPTS):
            record = await self._load(aor, deadline)
            outcome = self.registrar.register(request, record, now=self._clock(), flow=flow)
            if outcome.record is None:
                return outcome.response
            if await self._asked(self._writing, self.store.save(outcome.record), deadline):
                return outcome.response
        return None

    def _purge_soon(self) -> None:
        """Has the store forget what has expired, every now and then, while nobody waits for it."""
        now = self._clock()
        if not 0 <= now - self._purged_at < PURGE_INTERVAL and self._purging is None:
            self._purged_at = now
            self._purging = asyncio.ensure_future(self._purge(now))

    async def _purge(self, now: float) -> None:
        try:
            await self.store.purge(now)
        except LocationStoreError:
            pass  # the saves tell of it
        finally:
            self._purging = None

    # The store, in time.

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout

    async def _load(self, aor: str, deadline: float) -> LocationRecord:
        try:
            return await self._asked(self._reading, self.store.load(aor), deadline)
        except LocationRecordError as error:
            self._skip(error)
            return LocationRecord(aor, version=error.version or ABSENT)

    def _skip(self, error: LocationRecordError) -> None:
        self._skipped.add(error, asyncio.get_running_loop().time())

    async def _asked(self, health: StoreHealth, asked: Awaitable[_Result], deadline: float) -> _Result:
        """Waits for an answer of the store; raises LocationStoreError, and notes how the store does."""
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout_at(deadline):
                result = await asked
        except TimeoutError:
            late = LocationStoreBusyError(f"it has not answered in {self._timeout:g} s")
            health.failed(late, now())
            raise late from None
        except LocationRecordError:
            health.worked(now())
            raise
        except LocationStoreError as error:
            health.failed(error, now())
            raise
        health.worked(now())
        return result

    async def locate(self, uri: SipUri) -> Located | None:
        """Returns where a request with this Request-URI may go, or None for a GRUU that is not valid (404).

        An address that nobody has registered gives no groups (480). Raises LocationStoreError.
        """
        now, deadline = self._clock(), self._deadline()
        if uri.parameter("gr") is None:
            record = await self._load(aor_key(uri), deadline)
            return select_bindings(record, now, secure=uri.secure)
        instance = instance_of(uri)
        if instance is not None and not (uri.user or "").startswith(PREFIX):
            record = await self._load(aor_key(uri), deadline)
            return select_bindings(record, now, instance=instance, secure=uri.secure)
        return await self._locate_temporary(uri, now, deadline)

    async def _locate_temporary(self, uri: SipUri, now: float, deadline: float) -> Located | None:
        index = None if self.registrar.gruus is None else self.registrar.gruus.index_of(uri)
        if index is None:
            return None
        try:
            aor = await self._asked(self._reading, self.store.aor_of(index), deadline)
        except LocationRecordError as error:
            self._skip(error)
            return None
        if aor is None:
            return None
        record = (await self._load(aor, deadline)).alive(now)
        instance = next((one.id for one in record.instances if one.gruu_index == index), None)
        return None if instance is None else select_bindings(record, now, instance=instance, secure=uri.secure)
