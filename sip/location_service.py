"""The location service: the registrar's rules over a store that it may share with others (RFC 3261 10)."""

from __future__ import annotations

import time
from collections.abc import Callable

from .errors import LocationStoreError
from .gruu import PREFIX, TemporaryGruus, instance_of
from .location import Located, LocationStore, aor_key, select_bindings
from .message import Request, Response
from .registrar import MayRegister, Registrar, RegistrarSettings, is_own_address
from .uri import SipUri

# How often a REGISTER is tried again because another one for the same address-of-record was quicker.
MAX_ATTEMPTS = 20
PURGE_INTERVAL = 300.0


class LocationService:
    """Answers REGISTERs and finds where an address-of-record or a GRUU is reached; keeps nothing but the store.

    `clock` gives seconds since 1970. Make one with create().
    """

    def __init__(self, store: LocationStore, registrar: Registrar, *, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.registrar = registrar
        self._clock = clock
        self._purged_at = float("-inf")

    @classmethod
    async def create(
        cls,
        store: LocationStore,
        settings: RegistrarSettings,
        *,
        may_register: MayRegister = is_own_address,
        clock: Callable[[], float] = time.time,
    ) -> LocationService:
        """Returns a service with GRUUs by the store's secret; raises LocationStoreError when the store fails."""
        gruus = TemporaryGruus(await store.secret())
        return cls(store, Registrar(settings, gruus=gruus, may_register=may_register), clock=clock)

    async def register(self, request: Request, *, user: str | None, flow: str | None = None) -> Response:
        """Returns the response to a REGISTER that `user` sent, proven by Digest or TLS (None: unproven, 403).

        A 200 is returned only after the store has acknowledged; 500 when it fails.
        """
        aor = self.registrar.admit(request, user)
        if isinstance(aor, Response):
            return aor
        try:
            await self._purge()
            for _ in range(MAX_ATTEMPTS):
                record = await self.store.load(aor)
                outcome = self.registrar.register(request, record, now=self._clock(), flow=flow)
                if outcome.record is None or await self.store.save(outcome.record):
                    return outcome.response
        except LocationStoreError:
            return request.create_response(500)
        response = request.create_response(503)
        response.headers.add("Retry-After", "1")
        return response

    async def _purge(self) -> None:
        """Has the store forget what has expired, every now and then."""
        now = self._clock()
        if not 0 <= now - self._purged_at < PURGE_INTERVAL:
            self._purged_at = now
            await self.store.purge(now)

    async def locate(self, uri: SipUri) -> Located | None:
        """Returns where a request with this Request-URI may go, or None for a GRUU that is not valid (404).

        An address that nobody has registered gives no groups (480). Raises LocationStoreError.
        """
        now = self._clock()
        if uri.parameter("gr") is None:
            record = await self.store.load(aor_key(uri))
            return select_bindings(record, now, secure=uri.secure)
        instance = instance_of(uri)
        if instance is not None and not (uri.user or "").startswith(PREFIX):
            record = await self.store.load(aor_key(uri))
            return select_bindings(record, now, instance=instance, secure=uri.secure)
        return await self._locate_temporary(uri, now)

    async def _locate_temporary(self, uri: SipUri, now: float) -> Located | None:
        index = None if self.registrar.gruus is None else self.registrar.gruus.index_of(uri)
        aor = None if index is None else await self.store.aor_of(index)
        if aor is None:
            return None
        record = (await self.store.load(aor)).alive(now)
        instance = next((one.id for one in record.instances if one.gruu_index == index), None)
        return None if instance is None else select_bindings(record, now, instance=instance, secure=uri.secure)
