"""Questions to DNS by dnspython's asynchronous resolver, the `dns` extra of the package."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence

from ..errors import MissingExtraError

try:
    import dns.asyncresolver
    import dns.exception
    import dns.name
    import dns.rdatatype
    import dns.resolver
    from dns.nameserver import Do53Nameserver
    from dns.rdata import Rdata
    from dns.rdtypes.IN.A import A
    from dns.rdtypes.IN.AAAA import AAAA
    from dns.rdtypes.IN.NAPTR import NAPTR
    from dns.rdtypes.IN.SRV import SRV
except ModuleNotFoundError:
    raise MissingExtraError("DnsResolver", extra="dns") from None

from ..errors import DiscoveryError
from ..message.grammar import split_host_port
from ..message.host_names import is_numeric
from .dns_records import HostAddress, Naptr, Question, Record, Srv

LOOKUP_TIMEOUT = 5.0
MAX_RECORDS = 128
MAX_CACHED = 1000


class DnsResolver:
    """Asks the name servers that the system is set up for, or `nameservers`, each ADDRESS or ADDRESS:PORT.

    Answers are kept as long as their time to live says. A name without address in DNS is asked of the system too,
    which has /etc/hosts, unless `nameservers` are given. `timeout` in seconds bounds each lookup with all its
    repetitions. Raises OSError when the system has no name server configured, and ValueError for a name server
    that is no numeric address.
    """

    def __init__(self, nameservers: Sequence[str] | None = None, *, timeout: float = LOOKUP_TIMEOUT) -> None:
        self._use_system = nameservers is None
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=self._use_system)
        except dns.resolver.NoResolverConfiguration as error:
            raise OSError(str(error)) from None
        if nameservers is not None:
            self._resolver.nameservers = [_name_server(one) for one in nameservers]
        self._resolver.lifetime = timeout
        self._resolver.cache = dns.resolver.LRUCache(MAX_CACHED)

    async def resolve(self, question: Question) -> tuple[Record, ...]:
        """Returns the records, () when there are none; at most 128 of them.

        Raises DiscoveryError when no server answers in time, all refuse, an answer is malformed, or its aliases
        (CNAME) run in a circle or on for too long.
        """
        try:
            answer = await self._resolver.resolve(
                dns.name.from_text(question.name),
                question.record_type,
                search=False,
                raise_on_no_answer=False,
            )
        except dns.resolver.NXDOMAIN:
            return await self._of_system(question)
        except dns.resolver.LifetimeTimeout:
            raise DiscoveryError(f"no answer to {question}", domain=question.name) from None
        except dns.resolver.NoNameservers:
            raise DiscoveryError(f"no usable answer to {question}", domain=question.name) from None
        except (dns.exception.DNSException, UnicodeError, OSError) as error:
            raise DiscoveryError(f"{question}: {_text(error)}", domain=question.name) from None
        records = _records(answer.rrset or ())
        return records or await self._of_system(question)

    async def _of_system(self, question: Question) -> tuple[Record, ...]:
        """The addresses that the system knows of a name that DNS does not."""
        if not self._use_system or question.record_type not in ("A", "AAAA"):
            return ()
        family = socket.AF_INET if question.record_type == "A" else socket.AF_INET6
        try:
            found = await asyncio.get_running_loop().getaddrinfo(question.name, None, family=family)
        except OSError:
            return ()
        return tuple(HostAddress(address) for address in dict.fromkeys(str(one[4][0]) for one in found))


def _name_server(text: str) -> Do53Nameserver:
    host, port = split_host_port(f"[{text}]" if text.count(":") > 1 and "[" not in text else text, "a name server")
    if not is_numeric(host.strip("[]")):
        raise ValueError(f"{text!r} is no numeric address")
    return Do53Nameserver(host.strip("[]"), port or 53)


def _records(rrset: Iterable[Rdata]) -> tuple[Record, ...]:
    found = [_record(one) for one, _ in zip(rrset, range(MAX_RECORDS), strict=False)]
    return tuple(one for one in found if one is not None)


def _record(data: Rdata) -> Record | None:
    if isinstance(data, A | AAAA):
        return HostAddress(str(data.address))
    if isinstance(data, SRV):
        return Srv(data.priority, data.weight, data.port, _name(data.target))
    if isinstance(data, NAPTR):
        flags, service, regexp = (one.decode("ascii", "replace") for one in (data.flags, data.service, data.regexp))
        return Naptr(data.order, data.preference, flags, service, regexp, _name(data.replacement))
    return None


def _name(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True) if len(name.labels) > 1 else ""


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
