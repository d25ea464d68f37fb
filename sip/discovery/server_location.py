"""Where a SIP URI or a Via leads: transports, addresses and ports, in the order to try them (RFC 3263), sans-IO.

locate() and locate_response() are generators: each yields the questions it needs answered, all at once, is sent
their answers, and returns the targets at its end. Locator drives them over a resolver.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field

from srtp.field_checks import check_fields

from ..errors import DiscoveryError, TransportError
from ..message.header_values import Via
from ..message.host_names import bare_host, is_numeric
from ..message.uri import SipUri
from .dns_records import HostAddress, Naptr, Question, Record, Srv
from .srv_selection import RandomInteger, order_servers
from .target import SECURE_TRANSPORTS, Target, default_port, is_invalid, transport_name

Answer = tuple[Record, ...] | DiscoveryError
Lookups = Generator[tuple[Question, ...], Mapping[Question, Answer], list[Target]]

MAX_SERVICES = 8
MAX_SERVERS = 16
MAX_ADDRESSES = 16
MAX_TARGETS = 32
MAX_NAME = 253
# NAPTR services (RFC 3263 4.1, RFC 7118 9.3) and the labels of SRV names, by transport.
_NAPTR_SERVICES = {"SIPS+D2T": "tls", "SIP+D2T": "tcp", "SIP+D2U": "udp", "SIPS+D2W": "wss", "SIP+D2W": "ws"}
_SRV_LABELS = {
    "tls": "_sips._tcp",
    "tcp": "_sip._tcp",
    "udp": "_sip._udp",
    "wss": "_sips._ws",
    "ws": "_sip._ws",
}
_LOOPBACK = {"A": "127.0.0.1", "AAAA": "::1"}


@dataclass(frozen=True, slots=True)
class DiscoveryRules:
    """What we can do, and prefer: `transports` in the order that counts where the domain leaves the choice to us.

    `address_types` are A, AAAA or both, in the order to try. `large` says that the request is too long for UDP
    (RFC 3261 18.1.1), so that UDP comes last. `randint` makes the choice among SRV records of one priority. Raises
    ValueError for a transport that there is not.
    """

    randint: RandomInteger
    transports: tuple[str, ...] = ("tls", "tcp", "udp")
    address_types: tuple[str, ...] = ("A", "AAAA")
    large: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "transports", tuple(transport_name(one) for one in self.transports))
        check_fields(self)


@dataclass(frozen=True, slots=True)
class _Service:
    """A transport on offer, and the name of its SRV records."""

    transport: str
    name: str


@dataclass(slots=True)
class _Servers:
    """Hosts and ports to look up the addresses of, in the order to try them."""

    found: list[tuple[str, str, int]] = field(default_factory=list)  # transport, host, port
    refused: bool = False  # a service was said not to exist


def locate(uri: SipUri, rules: DiscoveryRules) -> Lookups:
    """Returns the targets of a request whose next hop is `uri`, the one to try first in front (RFC 3263 4).

    A sips URI leads to TLS and nothing else, and once a domain has offered TLS to a sip URI no target without
    follows: what fails there does not go on in clear. Every target names the URI's host as what TLS must prove
    (RFC 5922), whatever names DNS led through. Raises DiscoveryError when there is none, or when a lookup failed
    that the choice hangs on: a failed lookup is not an empty one, or who can drop packets would pick the
    transport. Raises TransportError for a transport that is not supported.
    """
    host = bare_host(uri.parameter("maddr") or uri.host)
    name = bare_host(uri.host)
    transport = _explicit_transport(uri, rules)
    if is_invalid(host):
        raise DiscoveryError("the name has no address, as all of .invalid", domain=host)  # RFC 6761 6.4
    if is_numeric(host) or uri.port is not None or is_local_name(host):
        transport = transport or _default_transport(uri, rules)
        server = (transport, host, uri.port or default_port(transport))
        return (yield from _addresses([server], name, rules))
    if transport is not None:
        services = [_Service(transport, f"{_SRV_LABELS[transport]}.{host}")]
    else:
        services = yield from _offered_services(host, uri, rules)
        transport = services[0].transport if services else None
    servers = yield from _servers(services or _possible_services(host, uri, rules), rules)
    if not servers.found:
        if servers.refused:
            raise DiscoveryError("the domain says that it has no such service", domain=host)
        transport = transport or _default_transport(uri, rules)
        servers.found = [(transport, host, default_port(transport))]
    return (yield from _addresses(servers.found, name, rules))


def locate_response(via: Via, rules: DiscoveryRules) -> Lookups:
    """Returns where a response goes whose connection is gone, or whose sending failed (RFC 3263 5).

    `via` is the topmost; its transport is kept, and for TLS its sent-by is the name to prove. Raises as locate().
    """
    transport = via.transport.lower()
    if transport not in rules.transports:
        raise TransportError(f"the transport {transport} is not supported", target=via.host)
    host = bare_host(via.host)
    port = via.port or default_port(transport)
    if is_numeric(host) or via.port is not None or is_local_name(host):
        return (yield from _addresses([(transport, host, port)], host, rules))
    servers = yield from _servers([_Service(transport, f"{_SRV_LABELS[transport]}.{host}")], rules)
    return (yield from _addresses(servers.found or [(transport, host, port)], host, rules))


def _explicit_transport(uri: SipUri, rules: DiscoveryRules) -> str | None:
    """The transport that the URI asks for, by TLS where its scheme does."""
    asked = uri.transport
    if uri.secure and asked is not None:
        if asked == "udp":
            raise TransportError("a sips URI cannot go over UDP", target=str(uri))
        asked = {"tcp": "tls", "ws": "wss"}.get(asked, asked)
    if asked is not None and asked not in rules.transports:
        raise TransportError(f"the transport {asked} is not supported", target=str(uri))
    return asked


def _default_transport(uri: SipUri, rules: DiscoveryRules) -> str:
    """UDP for a sip URI, TLS for a sips one (4.1)."""
    transport = "tls" if uri.secure else "udp"
    if transport not in rules.transports:
        raise TransportError(f"the transport {transport} is not supported", target=str(uri))
    return transport


def _offered_services(
    domain: str, uri: SipUri, rules: DiscoveryRules
) -> Generator[tuple[Question, ...], Mapping[Question, Answer], list[_Service]]:
    """What the domain's NAPTR records offer of what we support; [] where they do not help."""
    question = Question(domain, "NAPTR")
    records = [one for one in _records(question, (yield (question,))) if isinstance(one, Naptr)]
    usable = [one for one in records if _is_usable(one, uri, rules)]
    if rules.large:
        usable = [one for one in usable if _transport_of(one) != "udp"] or usable
    # RFC 3403 4.1: what stands at a higher order than a match is not considered.
    order = min((one.order for one in usable), default=0)
    chosen = sorted((one for one in usable if one.order == order), key=lambda one: one.preference)
    return [_Service(_transport_of(one), one.replacement) for one in chosen[:MAX_SERVICES]]


def _possible_services(domain: str, uri: SipUri, rules: DiscoveryRules) -> list[_Service]:
    """The services that a domain without NAPTR records may have, of those that we support."""
    supported = [one for one in rules.transports if one in SECURE_TRANSPORTS or not uri.secure]
    if rules.large:
        supported.sort(key=lambda one: one == "udp")
    return [_Service(one, f"{_SRV_LABELS[one]}.{domain}") for one in supported if one not in ("ws", "wss")]


def _is_usable(record: Naptr, uri: SipUri, rules: DiscoveryRules) -> bool:
    transport = _transport_of(record)
    if transport not in rules.transports or (uri.secure and transport not in SECURE_TRANSPORTS):
        return False
    return record.flags.lower() == "s" and not record.regexp and 0 < len(record.replacement) <= MAX_NAME


def _transport_of(record: Naptr) -> str:
    return _NAPTR_SERVICES.get(record.service.upper(), "")


def _servers(
    services: list[_Service], rules: DiscoveryRules
) -> Generator[tuple[Question, ...], Mapping[Question, Answer], _Servers]:
    """The servers of all services in turn, each by RFC 2782; a service that cannot be looked up fails them all."""
    questions = {one: Question(one.name, "SRV") for one in services if len(one.name) <= MAX_NAME}
    answers = yield tuple(dict.fromkeys(questions.values()))
    servers = _Servers()
    for service, question in questions.items():
        records = [one for one in _records(question, answers) if isinstance(one, Srv)]
        usable = [one for one in records if one.target and one.port]
        servers.refused = servers.refused or any(not one.target for one in records)
        for record in order_servers(usable, rules.randint)[:MAX_SERVERS]:
            servers.found.append((service.transport, record.target, record.port))
    return servers


def _addresses(servers: list[tuple[str, str, int]], name: str, rules: DiscoveryRules) -> Lookups:
    """The targets of these servers. One that cannot be looked up is passed over, unless it leaves none."""
    servers = servers[:MAX_SERVERS]
    wanted: dict[str, list[Question]] = {}
    for _, host, _ in servers:
        if not is_numeric(host) and not is_local_name(host):
            wanted[host] = [Question(host, "AAAA" if one == "AAAA" else "A") for one in rules.address_types]
    answers: Mapping[Question, Answer] = {}
    if wanted:
        answers = yield tuple(question for questions in wanted.values() for question in questions)
    failures: list[DiscoveryError] = []
    targets: list[Target] = []
    for transport, host, port in servers:
        found, failed = _hosts(host, wanted.get(host, []), answers, rules)
        failures += failed
        targets += [Target(transport, address, port, name) for address in found]
    if not targets:
        raise failures[0] if failures else DiscoveryError("the name has no address", domain=servers[0][1])
    return _bounded(targets, rules)


def _hosts(
    host: str, questions: list[Question], answers: Mapping[Question, Answer], rules: DiscoveryRules
) -> tuple[list[str], list[DiscoveryError]]:
    if is_numeric(host):
        return [host], []
    if is_local_name(host):
        return [_LOOPBACK[one] for one in rules.address_types], []
    found: list[str] = []
    failed: list[DiscoveryError] = []
    for question in questions:
        answer = answers[question]
        if isinstance(answer, DiscoveryError):
            failed.append(answer)
        else:
            found += [one.address for one in answer[:MAX_ADDRESSES] if isinstance(one, HostAddress)]
    return found, failed


def _bounded(targets: Iterable[Target], rules: DiscoveryRules) -> list[Target]:
    """The targets without repetition, TCP before UDP for a large request, and nothing in clear behind TLS."""
    targets = list(dict.fromkeys(targets))
    if rules.large and "tcp" in rules.transports:
        others = [one for one in targets if one.transport != "udp"]
        datagrams = [one for one in targets if one.transport == "udp"]
        moved = [Target("tcp", one.host, one.port, one.name) for one in datagrams]
        targets = list(dict.fromkeys((*others, *moved, *datagrams)))
    if targets and targets[0].secure:
        targets = [one for one in targets if one.secure]
    return targets[:MAX_TARGETS]


def _records(question: Question, answers: Mapping[Question, Answer]) -> tuple[Record, ...]:
    answer = answers[question]
    if isinstance(answer, DiscoveryError):
        raise answer
    return answer


def is_local_name(host: str) -> bool:
    """Whether a host is this machine by its name, which DNS is not asked for (RFC 6761 6.3)."""
    return host == "localhost" or host.endswith(".localhost")
