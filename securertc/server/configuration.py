"""The configuration of a proxy: a TOML file, read strictly, every mistake named."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sip import SipParseError, SipUri, Timers
from sip.discovery import SECURE_TRANSPORTS, default_port, transport_name
from sip.message import bare_host, host_reference, is_host
from sip.proxy import ProxySettings, ProxyTarget
from sip.transaction import LoadLimits
from sip.transport import WebSocketSettings
from srtp.field_checks import check_fields

from ..errors import ConfigurationError, MissingExtraError
from ..name_resolution import name_resolver
from ..tls_files import TlsFiles
from .service import static_key

STORES = ("none", "memory", "sqlite", "redis")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """One address to listen on; `advertised` is the host that others are told instead of `host`.

    Raises ValueError for a transport that there is not.
    """

    transport: str
    host: str
    port: int
    advertised: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "transport", transport_name(self.transport))
        check_fields(self)


@dataclass(frozen=True, slots=True)
class TlsSettings(TlsFiles):
    """The files, and what certificates have to prove.

    With `prove_domains` that of who connects must be for the domain of the caller; of callers of our own domains
    Digest is asked instead, where it is set up. Servers that prove a name of `trust_domain`, or one of our domains,
    may assert identities (RFC 3325).
    """

    allow_wildcards: bool = False
    prove_domains: bool = False
    trust_domain: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class LocationSettings:
    """Where registrations are kept: "none" (there is no registrar), "memory", "sqlite" (a file) or "redis" (a URL).

    `static` has addresses, user@host or host for all users of it, that are not registered but written down.
    """

    store: str = "memory"
    path: Path | None = None
    url: str | None = field(default=None, repr=False)  # there may be a password in it
    static: dict[str, tuple[ProxyTarget, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class AuthenticationSettings:
    """Digest: `users` is a file of NAME:PASSWORD lines, `secrets` one of NAME:REALM:ALGORITHM:HA1 lines."""

    realm: str
    users: Path | None = None
    secrets: Path | None = None
    algorithms: tuple[str, ...] = ("SHA-256", "MD5")

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """What `securertc proxy` runs. With `relay` strangers may reach other domains through it.

    `name_servers`, each ADDRESS or ADDRESS:PORT, are asked for other domains; without any, the system's.
    """

    listen: tuple[ListenSettings, ...]
    domains: frozenset[str]
    aliases: frozenset[str] = frozenset()
    name_servers: tuple[str, ...] = ()
    relay: bool = False
    secret: bytes | None = field(default=None, repr=False)
    tls: TlsSettings = field(default_factory=TlsSettings)
    location: LocationSettings = field(default_factory=LocationSettings)
    authentication: AuthenticationSettings | None = None
    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)
    settings: ProxySettings = field(default_factory=ProxySettings)
    limits: LoadLimits = field(default_factory=LoadLimits)
    timers: Timers = field(default_factory=Timers)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def secret_files(self) -> tuple[str | Path, ...]:
        """The files named here that hold keys, passwords or other secrets."""
        authentication = self.authentication
        users = () if authentication is None else (authentication.users, authentication.secrets)
        store = self.location.path if self.location.store == "sqlite" else None
        return tuple(one for one in (self.tls.key or self.tls.certificate, *users, store) if one is not None)


def read_config(path: Path) -> ProxyConfig:
    """Reads a configuration file; raises ConfigurationError, naming the key, for anything that is not right in it.

    Relative paths in it are taken from the file's folder.
    """
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(str(error)) from None
    return parse_config(content, path.parent)


def parse_config(content: dict[str, Any], folder: Path) -> ProxyConfig:
    """Returns what the tables of a configuration say; raises ConfigurationError."""
    top = _Table(content, "", folder)
    listen = tuple(_listen(table) for table in top.tables("listen"))
    secret = top.take("secret", str, None)
    config = ProxyConfig(
        listen=listen,
        domains=_hosts(top, "domains"),
        aliases=_hosts(top, "aliases"),
        name_servers=tuple(top.strings("name_servers")),
        relay=top.take("relay", bool, False),
        secret=None if secret is None else _secret(secret),
        tls=_tls(top.table("tls")),
        location=_location(top.table("location")),
        authentication=_authentication(top.table("authentication")) if "authentication" in content else None,
        websocket=_websocket(top.table("websocket")),
        settings=ProxySettings(
            record_route=top.take("record_route", bool, True), timer_c=top.take("timer_c", float, 200.0)
        ),
        limits=_numbers(top.table("limits"), LoadLimits()),
        timers=_numbers(top.table("timers"), Timers()),
    )
    top.finish()
    _check(config)
    return config


def warning_of(config: ProxyConfig) -> str | None:
    """Returns what whoever starts the proxy has to know of a configuration that can be used, or None."""
    if not config.domains or config.authentication is not None or config.tls.prove_domains:
        return None
    what = "call" if config.location.store == "none" else "call and register"
    return f"without [authentication] or tls.prove_domains anybody may {what} in the name of your users"


def _check(config: ProxyConfig) -> None:
    if not config.listen:
        raise ConfigurationError("there has to be one [[listen]] at least", key="listen")
    transports = [one.transport for one in config.listen]
    if len(set(transports)) < len(transports):
        raise ConfigurationError("one address for each transport is what can be served", key="listen")
    if not SECURE_TRANSPORTS.isdisjoint(transports) and config.tls.certificate is None:
        raise ConfigurationError("listening on TLS needs a certificate", key="tls.certificate")
    if config.tls.require_client_certificate and config.tls.ca_file is None:
        raise ConfigurationError("client certificates need authorities to check them by", key="tls.ca_file")
    if config.tls.prove_domains and not config.tls.require_client_certificate:
        raise ConfigurationError("without client certificates no domain is proven", key="tls.prove_domains")
    if config.tls.trust_domain and not config.tls.require_client_certificate:
        raise ConfigurationError("without client certificates nobody proves to be in it", key="tls.trust_domain")
    try:
        name_resolver(config.name_servers)
    except (ValueError, MissingExtraError) as error:
        raise ConfigurationError(str(error), key="name_servers") from None
    if config.settings.timer_c <= 180:
        raise ConfigurationError("has to be more than 180 seconds (RFC 3261 16.6)", key="timer_c")
    if min(config.timers.t1, config.timers.t2, config.timers.t4, config.timers.completed_invite) <= 0:
        raise ConfigurationError("have to be more than 0", key="timers")


def _listen(table: _Table) -> ListenSettings:
    try:
        transport = transport_name(table.take("transport", str, "udp"))
    except ValueError as error:
        raise table.wrong("transport", str(error)) from None
    port = table.take("port", int, default_port(transport))
    if not 0 <= port <= 65535:
        raise table.wrong("port", "has to be from 0 to 65535")
    found = ListenSettings(transport, table.needed("host"), port, table.take("advertised", str, None))
    table.finish()
    return found


def _tls(table: _Table) -> TlsSettings:
    found = TlsSettings(
        table.file("certificate"),
        table.file("key"),
        table.file("ca_file"),
        table.take("require_client_certificate", bool, False),
        table.take("allow_wildcards", bool, False),
        table.take("prove_domains", bool, False),
        _hosts(table, "trust_domain"),
    )
    table.finish()
    return found


def _websocket(table: _Table) -> WebSocketSettings:
    origins = tuple(table.strings("origins")) if table.has("origins") else None
    for one in origins or ():
        scheme, _, host = one.partition("://")
        if scheme not in ("http", "https") or not host or "/" in host:
            raise table.wrong("origins", f"{one!r} is no origin, such as https://example.com")
    interval = table.take("ping_interval", float, WebSocketSettings().ping_interval)
    if interval < 0:
        raise table.wrong("ping_interval", "has to be 0 or more")
    table.finish()
    return WebSocketSettings(origins, interval)


def _location(table: _Table) -> LocationSettings:
    store = table.take("store", str, "memory")
    if store not in STORES:
        raise table.wrong("store", f"has to be one of {', '.join(STORES)}")
    path, url = table.path("path"), table.take("url", str, None)
    if store == "sqlite" and path is None:
        raise table.wrong("path", "is needed for sqlite")
    if store == "redis" and url is None:
        raise table.wrong("url", "is needed for redis")
    if url is not None:
        _check_redis(table, url)
    static = {_static_name(name): _targets(name, uris) for name, uris in table.take("static", dict, {}).items()}
    table.finish()
    return LocationSettings(store, path, url, static)


def _hosts(table: _Table, key: str) -> frozenset[str]:
    """Hosts in comparable form. What no message can name is a mistake: a domain that is never met protects nobody."""
    found = table.strings(key)
    for one in found:
        if not is_host(host_reference(one)):
            raise table.wrong(key, f"{one!r} is no host; a name in other letters is written in its xn-- form")
    return frozenset(map(bare_host, found))


def _static_name(name: str) -> str:
    key = static_key(name)
    if not is_host(key.rpartition("@")[2]):
        raise ConfigurationError("the name is neither user@host nor host", key=f"location.static.{name}")
    return key


def _check_redis(table: _Table, url: str) -> None:
    """Refuses a URL that leads nowhere, without repeating it: there may be a password in it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise table.wrong("url", "has a port that is none" if "ort" in str(error) else "is no URL") from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise table.wrong("url", "has to begin with redis://, rediss:// or unix://")
    if port == 0:
        raise table.wrong("url", "has a port that is none")


def _targets(name: str, uris: object) -> tuple[ProxyTarget, ...]:
    """Those of a list are tried at once; those of a list in that list one group after the other."""
    groups = uris if isinstance(uris, list) else [uris]
    found = []
    for number, group in enumerate(groups):
        nested = isinstance(group, list)
        for uri in group if nested else [group]:
            try:
                q = 1000 - number if any(isinstance(one, list) for one in groups) else 1000
                found.append(ProxyTarget(SipUri.parse(uri), q))
            except (SipParseError, AttributeError):
                raise ConfigurationError(f"{uri!r} is no SIP URI", key=f"location.static.{name}") from None
    return tuple(found)


def _authentication(table: _Table) -> AuthenticationSettings:
    found = AuthenticationSettings(
        table.needed("realm"),
        table.file("users"),
        table.file("secrets"),
        tuple(table.strings("algorithms")) or ("SHA-256", "MD5"),
    )
    if (found.users is None) == (found.secrets is None):
        raise table.wrong("users", "has to be given, or secrets, and not both")
    if any(one not in ("SHA-512-256", "SHA-256", "MD5") for one in found.algorithms):
        raise table.wrong("algorithms", "have to be of SHA-512-256, SHA-256 and MD5")
    table.finish()
    return found


def _numbers(table: _Table, defaults: _Value) -> _Value:
    """A dataclass of numbers, each of which may be set."""
    assert hasattr(type(defaults), "__dataclass_fields__")
    found = {}
    for one in fields(defaults):  # type: ignore[arg-type]  # asserted above
        default = getattr(defaults, one.name)
        found[one.name] = table.take(one.name, type(default), default)
        if found[one.name] < 0:
            raise table.wrong(one.name, "has to be 0 or more")
    table.finish()
    return type(defaults)(**found)


def _secret(text: str) -> bytes:
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) < 16:
        raise ConfigurationError("has to be 32 hexadecimal digits or more", key="secret")
    return secret


class _Table:
    """One table of the file; finish() complains of what nobody took."""

    def __init__(self, content: object, name: str, folder: Path) -> None:
        if not isinstance(content, dict):
            raise ConfigurationError("has to be a table", key=name)
        self._left = dict(content)
        self._name = name
        self._folder = folder

    def wrong(self, key: str, what: str) -> ConfigurationError:
        return ConfigurationError(what, key=f"{self._name}.{key}".strip("."))

    def take(self, key: str, kind: type[Any], default: Any) -> Any:
        value = self._left.pop(key, default)
        if kind is float and type(value) is int:
            value = float(value)
        if value is not default and type(value) is not kind:
            names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}
            raise self.wrong(key, f"has to be {names.get(kind, 'a table')}")
        return value

    def has(self, key: str) -> bool:
        return key in self._left

    def needed(self, key: str) -> str:
        value = self.take(key, str, None)
        if not value:
            raise self.wrong(key, "is missing")
        return str(value)

    def strings(self, key: str) -> list[str]:
        values = self.take(key, list, [])
        if not all(isinstance(value, str) and value for value in values):
            raise self.wrong(key, "has to be a list of texts")
        return list(values)

    def path(self, key: str) -> Path | None:
        value = self.take(key, str, None)
        return None if value is None else self._folder / value

    def file(self, key: str) -> Path | None:
        path = self.path(key)
        if path is not None and not path.is_file():
            raise self.wrong(key, f"{path} is no file")
        return path

    def table(self, key: str) -> _Table:
        return _Table(self._left.pop(key, {}), f"{self._name}.{key}".strip("."), self._folder)

    def tables(self, key: str) -> list[_Table]:
        return [_Table(one, f"{key}[{number}]", self._folder) for number, one in enumerate(self.take(key, list, []))]

    def finish(self) -> None:
        for key in self._left:
            raise self.wrong(key, "is no key that is known here")
