"""What `securertc proxy` does, apart from reading its options."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console

from sip import DigestServer, TlsFileError
from sip.digest import DigestSecrets, GuessLimit
from sip.discovery import Locator
from sip.proxy import DnsProxyResolver, Listener, Observer, ProxyServer, Resolver
from sip.registrar import LocationService, LocationStore, MemoryLocationStore, RegistrarSettings, SqliteLocationStore

from ..errors import ConfigurationError
from ..name_resolution import name_resolver
from ..server.configuration import AuthenticationSettings, LocationSettings, ProxyConfig, TlsSettings, warning_of
from ..server.service import ProxyService
from .call import read_users
from .display import shown
from .interruption import interruption

STATUS_INTERVAL = 60.0
# Nothing of ours lies in cycles once it is over: to look for them more often than that costs more than it brings.
_COLLECT_AFTER = 50_000


async def run_proxy(config: ProxyConfig, console: Console, *, status: bool = False) -> None:
    """Runs a proxy until Ctrl-C; with `status` it tells each minute, and at SIGUSR1, what is going on.

    Raises ConfigurationError for files that cannot be used, OSError when an address cannot be listened on.
    """
    store = open_store(config.location)
    try:
        server, service = await create_proxy(config, store)
        async with interruption(grace=None, hangup=False) as interrupted, server:
            service.identity = server.proxy.identity
            for one in server.listening:
                console.print(f"listening on {one.transport.upper()} {one.host}:{one.port}", highlight=False)
            if server.max_connections < config.limits.connections:
                console.print(f"no more than {server.max_connections} connections, by RLIMIT_NOFILE", highlight=False)
            gc.freeze()
            gc.set_threshold(_COLLECT_AFTER, 20, 50)
            domains = ", ".join(sorted(config.domains)) or "no domain"
            console.print(f"serving {domains}; Ctrl-C ends it", highlight=False)
            warning = warning_of(config)
            if warning is not None:
                console.print(f"warning: {warning}", highlight=False, markup=False)
            with reloading(server, config.tls, console):
                tell = functools.partial(_tell, console, server, service)
                await _wait(interrupted, tell, status=status)
    finally:
        if store is not None:
            await store.close()
    console.print("ended")


@contextlib.contextmanager
def reloading(server: ProxyServer, tls: TlsSettings, console: Console) -> Iterator[None]:
    """Has SIGHUP read the TLS files again, for new connections; a file that cannot be used changes nothing."""
    loop = asyncio.get_running_loop()

    def reload() -> None:
        if tls.certificate is None:
            return
        try:
            server.replace_tls(client=tls.client_context(), server=tls.server_context())
        except TlsFileError as error:
            console.print(f"TLS stays as it was: {shown(str(error))}", highlight=False, soft_wrap=True)
        else:
            console.print("new connections use the new files", highlight=False)

    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def _wait(interrupted: asyncio.Event, tell: Callable[[], None], *, status: bool) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, tell)
    try:
        while not interrupted.is_set():
            try:
                async with asyncio.timeout(STATUS_INTERVAL):
                    await interrupted.wait()
            except TimeoutError:
                if status:
                    tell()
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


def _tell(console: Console, server: ProxyServer, service: ProxyService) -> None:
    console.print(describe(server, service), highlight=False)


def describe(server: ProxyServer, service: ProxyService) -> str:
    """Returns one line of what a proxy is doing."""
    admission = server.proxy.admission
    return (
        f"transactions {server.proxy.active_transactions}, requests open {server.proxy.active_contexts}, "
        f"connections {server.connections}, sources {admission.sources}, shed {admission.refused}, "
        f"late {admission.lag * 1000:.0f} ms, records skipped {service.records_skipped}"
    )


async def create_proxy(
    config: ProxyConfig,
    store: LocationStore | None,
    *,
    resolver: Resolver | None = None,
    observer: Observer | None = None,
) -> tuple[ProxyServer, ProxyService]:
    """Returns the server that a configuration describes, not started, and its service.

    After the start the service's `identity` has to be set to that of the server's proxy.
    """
    tls = config.tls
    listeners = []
    for one in config.listen:
        context = tls.server_context() if one.transport in ("tls", "wss") else None
        listeners.append(Listener(one.transport, one.host, one.port, one.advertised, context))
    location = None
    if store is not None:
        location = await LocationService.create(store, RegistrarSettings(config.domains, path_needs_support=False))
    proxies, registrar = _digest(config.authentication)
    service = ProxyService(
        config.domains,
        location=location,
        static=config.location.static,
        proxies=proxies,
        registrar=registrar,
        relay=config.relay,
        shared=config.location.store == "redis",
        prove_domains=tls.prove_domains,
    )
    resolver = resolver or _dns(config.name_servers)
    server = ProxyServer(
        listeners,
        domains=config.domains,
        location=service,
        resolver=resolver,
        response_locator=resolver.locator if isinstance(resolver, DnsProxyResolver) else None,
        hooks=service,
        aliases=config.aliases,
        settings=config.settings,
        limits=config.limits,
        timers=config.timers,
        tls_client=tls.client_context(),
        allow_wildcards=tls.allow_wildcards,
        secret=config.secret,
        trust_domain=config.domains | tls.trust_domain,
        websocket=config.websocket,
        observer=observer,
    )
    return server, service


def _dns(name_servers: Sequence[str]) -> Resolver | None:
    """DNS in full where dnspython is installed and a name server known; else None, for what the system resolves."""
    resolver = name_resolver(name_servers)
    return None if resolver is None else DnsProxyResolver(Locator(resolver))


def check_proxy(config: ProxyConfig) -> None:
    """Finds out what can be known of a configuration without running it.

    Raises ConfigurationError for users or a location store that cannot be used, and TlsFileError. A store is not
    opened.
    """
    config.tls.client_context()
    if config.tls.certificate is not None:
        config.tls.server_context()
    _digest(config.authentication)
    path = config.location.path
    if config.location.store != "sqlite":
        open_store(config.location)  # connects to nothing yet
    elif path is not None and not os.access(path if path.exists() else path.parent, os.R_OK | os.W_OK):
        raise ConfigurationError(f"{path} cannot be read and written", key="location.path")


def open_store(settings: LocationSettings) -> LocationStore | None:
    """Returns the store that is configured; raises ConfigurationError for a URL that is none, or what is missing."""
    if settings.store == "memory":
        return MemoryLocationStore()
    if settings.store == "sqlite":
        assert settings.path is not None
        return SqliteLocationStore(settings.path)
    if settings.store == "redis":
        try:
            from sip.registrar import RedisLocationStore
        except ImportError:
            raise ConfigurationError("redis is not installed: pip install 'securertc[redis]'", key="location") from None
        try:
            return RedisLocationStore(settings.url or "")
        except ValueError:  # its words may hold a part of the password
            raise ConfigurationError("is no URL of a Redis", key="location.url") from None
    return None


def _digest(settings: AuthenticationSettings | None) -> tuple[DigestServer | None, DigestServer | None]:
    """The challengers of forwarded requests and of REGISTER, by the same secrets."""
    if settings is None:
        return None, None
    try:
        if settings.users is not None:
            secrets = DigestSecrets.of_passwords(settings.realm, read_users(settings.users), settings.algorithms)
        else:
            assert settings.secrets is not None
            secrets = DigestSecrets.parse(settings.realm, settings.secrets.read_text())
    except (ValueError, OSError) as error:
        raise ConfigurationError(str(error), key="authentication") from None

    guesses = GuessLimit()  # one: who may guess at both guesses twice

    def make(proxy: bool) -> DigestServer:
        return DigestServer(
            settings.realm,
            secrets.secret_of,
            clock=time.monotonic,
            algorithms=settings.algorithms,
            proxy=proxy,
            guesses=guesses,
        )

    return make(True), make(False)
