"""The edge of discovery: locate() and locate_response() driven over a resolver, in bounded time (RFC 3263)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from ..errors import DiscoveryError
from ..message.header_values import Via
from ..message.host_names import bare_host
from ..message.uri import SipUri
from .dns_records import Question, Resolver
from .server_location import Answer, DiscoveryRules, Lookups, locate, locate_response
from .srv_selection import RandomInteger
from .target import Target

DISCOVERY_TIMEOUT = 15.0
MAX_REMEMBERED = 10000


class Locator:
    """Finds targets by DNS, and remembers which domains have offered TLS.

    A domain that did, and from one lookup to the next does so no more, is refused: that is what an attack looks
    like (RFC 3263 7). `timeout` in seconds bounds all the lookups for one target.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        randint: RandomInteger | None = None,
        address_types: tuple[str, ...] = ("A", "AAAA"),
        timeout: float = DISCOVERY_TIMEOUT,
    ) -> None:
        self._resolver = resolver
        self._randint = randint or random.SystemRandom().randint
        self._address_types = address_types
        self._timeout = timeout
        self._secured: dict[str, None] = {}

    async def locate(self, uri: SipUri, *, transports: tuple[str, ...], large: bool = False) -> list[Target]:
        """Returns the targets of a next-hop URI in the order to try them; see discovery.locate().

        Raises DiscoveryError when DNS leads nowhere or does not answer in time, or when TLS was offered before and
        is no more, and TransportError for a transport that is not among `transports`.
        """
        rules = self._rules(transports, large=large)
        targets = await self._run(locate(uri, rules), uri.host)
        self._watch(uri, targets)
        return targets

    async def locate_response(self, via: Via, *, transports: tuple[str, ...]) -> list[Target]:
        """Returns where a response may go by its topmost Via; see discovery.locate_response()."""
        return await self._run(locate_response(via, self._rules(transports, large=False)), via.host)

    def _rules(self, transports: tuple[str, ...], *, large: bool) -> DiscoveryRules:
        return DiscoveryRules(self._randint, transports, self._address_types, large)

    def _watch(self, uri: SipUri, targets: list[Target]) -> None:
        """Only where DNS makes the choice: a transport or a port in the URI is the choice of who wrote it."""
        domain = bare_host(uri.parameter("maddr") or uri.host)
        if uri.secure or uri.transport is not None or uri.port is not None:
            return
        if targets[0].secure:
            self._secured.pop(domain, None)
            self._secured[domain] = None
            if len(self._secured) > MAX_REMEMBERED:
                del self._secured[next(iter(self._secured))]
        elif domain in self._secured:
            raise DiscoveryError("the domain has offered TLS before, and does so no more", domain=domain)

    async def _run(self, lookups: Lookups, domain: str) -> list[Target]:
        try:
            async with asyncio.timeout(self._timeout):
                questions = next(lookups)
                while True:
                    questions = lookups.send(await self._ask(questions))
        except StopIteration as done:
            found: list[Target] = done.value
            return found
        except TimeoutError:
            raise DiscoveryError(f"DNS did not answer in {self._timeout:g} s", domain=domain) from None
        finally:
            lookups.close()

    async def _ask(self, questions: tuple[Question, ...]) -> Mapping[Question, Answer]:
        answers = await asyncio.gather(*(self._answer(one) for one in questions))
        return dict(zip(questions, answers, strict=True))

    async def _answer(self, question: Question) -> Answer:
        try:
            return await self._resolver.resolve(question)
        except DiscoveryError as error:
            return error
