"""Three proxies of one domain on one redis-server: one is killed in mid-call, and calls go on."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dns_server import ZoneServer, zone_server
from peers.process import PeerProcess, free_ports
from peers.redis import RedisServer

from securertc import Call, Endpoint, EndpointSettings, IncomingCall, MediaSecurity, SecurityPolicy
from sip import Timers
from sip.discovery.dns_resolver import DnsResolver

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
OPEN = SecurityPolicy(media=MediaSecurity.OFF)
TIMERS = Timers(t1=0.1, t2=0.4, t4=0.4)
CONFIGURATION = """
domains = ["example.org"]
secret = "{secret}"

[[listen]]
transport = "tcp"
host = "{host}"
port = {port}
advertised = "example.org"

[location]
store = "redis"
url = "{redis}"
"""


class ProxyProcess(PeerProcess):
    """`securertc proxy` on one of the addresses."""

    def __init__(self, directory: Path, host: str, port: int, redis: str, secret: str) -> None:
        directory.mkdir()
        path = directory / "proxy.toml"
        path.write_text(CONFIGURATION.format(host=host, port=port, redis=redis, secret=secret))
        command = [sys.executable, "-m", "securertc", "proxy", "--config", str(path)]
        super().__init__(command, directory, name=f"proxy-{host}")
        self.host, self.port = host, port

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


class Domain:
    """The domain's proxies, by address."""

    def __init__(self, directory: Path, redis: str) -> None:
        self.port = free_ports()
        secret = secrets.token_hex(16)
        self.proxies = {host: ProxyProcess(directory / host, host, self.port, redis, secret) for host in HOSTS}
        for proxy in self.proxies.values():
            proxy.start()
        for proxy in self.proxies.values():
            proxy.await_log("listening")

    def stop(self) -> None:
        for proxy in self.proxies.values():
            proxy.stop()


@pytest.fixture
def domain(tmp_path: Path) -> Iterator[Domain]:
    with RedisServer(tmp_path / "redis") as redis:
        made = Domain(tmp_path, redis.url)
        try:
            yield made
        finally:
            made.stop()


def endpoint_of(
    name: str, zone: ZoneServer, domain: Domain, on_call: Callable[[IncomingCall], None] | None = None
) -> Endpoint:
    settings = EndpointSettings(
        f"sip:{name}@example.org",
        policy=OPEN,
        timers=TIMERS,
        resolver=DnsResolver([f"127.0.0.1:{zone.port}"]),
        outbound_proxy=f"sip:example.org:{domain.port};transport=tcp;lr",
    )
    return Endpoint(settings, on_call=on_call)


@pytest.mark.interop("redis-server")
async def test_one_of_three_is_killed_in_mid_call(domain: Domain) -> None:
    answered: asyncio.Queue[Call] = asyncio.Queue()
    tasks: list[asyncio.Future[None]] = []

    def on_call(call: IncomingCall) -> None:
        async def answer() -> None:
            answered.put_nowait(await call.answer())

        tasks.append(asyncio.ensure_future(answer()))

    zone = ZoneServer({("example.org", "A"): list(HOSTS)})
    async with (
        zone_server(zone),
        endpoint_of("joe", zone, domain, on_call) as joe,
        endpoint_of("alice", zone, domain) as alice,
    ):
        await joe.listen("tcp")
        await alice.listen("tcp")
        await joe.register()
        ours, theirs = await alice.call("sip:joe@example.org"), await answered.get()
        used = ours._dialog.flow.remote[0]
        domain.proxies[used].kill()
        await ours.hold()  # within the call, through another proxy
        await ours.resume()
        second, second_theirs = await alice.call("sip:joe@example.org"), await answered.get()
        assert second._dialog.flow.remote[0] != used
        for one, other in ((ours, theirs), (second_theirs, second)):
            await one.hangup()
            assert await asyncio.wait_for(other.wait_ended(), 10) == "remote"
        left = [host for host in HOSTS if host != used]
        domain.proxies[left[0]].kill()
        third, third_theirs = await alice.call("sip:joe@example.org"), await answered.get()
        assert third._dialog.flow.remote[0] == left[1]
        await joe.register()
        await third.hangup()
        assert await asyncio.wait_for(third_theirs.wait_ended(), 10) == "remote"
        await asyncio.gather(*tasks)
