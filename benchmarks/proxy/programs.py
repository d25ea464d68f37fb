"""The programs of the proxy's benchmark: the proxies, sipp on both sides of them, and what they use of the machine."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from securertc.demo import ThrowawayAuthority

HERE = Path(__file__).parent
MODULES = "/usr/lib/x86_64-linux-gnu/kamailio/modules/"
PROXY_CORE, LOAD_CORE = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
UDP = """
domains = ["127.0.0.1"]
relay = true
[[listen]]
transport = "udp"
host = "127.0.0.1"
port = {port}
[location]
store = "none"
static = {{ "127.0.0.1" = "sip:service@127.0.0.1:{callee}" }}
"""
TLS = """
domains = ["127.0.0.1"]
[[listen]]
transport = "tls"
host = "127.0.0.1"
port = {port}
[tls]
certificate = "proxy.crt"
key = "proxy.key"
ca_file = "ca.pem"
[authentication]
realm = "127.0.0.1"
users = "users"
algorithms = ["SHA-256"]
[location]
store = "none"
static = {{ "127.0.0.1" = "sip:service@127.0.0.1:{callee};transport=tls" }}
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of some calls: `rate` is that at which they were started, per second."""

    succeeded: int
    failed: int
    rate: float


class Proxy:
    """A proxy that runs, on a core of its own; `port` and `callee` are those of its two sides."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, callee: int, folder: Path) -> None:
        self.process, self.port, self.callee, self.folder = process, port, callee, folder

    def resident(self) -> int:
        """Returns the resident memory of the proxy and its children in KiB."""
        return sum(int(fields[21]) for fields in self._statistics()) * os.sysconf("SC_PAGESIZE") // 1024

    def cpu(self) -> float:
        """Returns the seconds of CPU time it has used, the system's for it included."""
        ticks = sum(int(fields[11]) + int(fields[12]) for fields in self._statistics())
        return ticks / os.sysconf("SC_CLK_TCK")

    def _statistics(self) -> list[list[str]]:
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid:
                    found.append(fields)
        return found


def free_port(kind: int = socket.SOCK_DGRAM) -> int:
    """Returns a port that nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def await_port(port: int, kind: int, process: subprocess.Popen[bytes]) -> None:
    """Waits until somebody has bound a port; raises RuntimeError when the process ends before, or takes too long."""
    until = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < until:
        try:
            with socket.socket(socket.AF_INET, kind) as one:
                one.bind(("127.0.0.1", port))
        except OSError:
            time.sleep(0.3)
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen")


@contextlib.contextmanager
def running(command: list[str], log: Path, core: int) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program on one core in its own process group, and ends it with its children."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for number in (15, 9):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(8)
                break


def ours(folder: Path, configuration: str, port: int, callee: int) -> list[str]:
    """Writes our configuration and returns the command."""
    path = folder / "proxy.toml"
    path.write_text(configuration.format(port=port, callee=callee))
    return [sys.executable, "-m", "securertc", "proxy", "--config", str(path)]


def kamailio(folder: Path, port: int, callee: int) -> list[str]:
    """Writes kamailio's configuration and returns the command."""
    text = (HERE / "kamailio.cfg").read_text()
    for name, value in (("@PORT@", str(port)), ("@CALLEE@", str(callee)), ("@MODULES@", MODULES)):
        text = text.replace(name, value)
    path = folder / "kamailio.cfg"
    path.write_text(text)
    files = ["-f", str(path), "-Y", str(folder), "-P", str(folder / "kamailio.pid")]
    return ["kamailio", "-m", "1024", "-M", "64", *files, "-DD", "-E"]


@contextlib.contextmanager
def udp_proxy(name: str, folder: Path) -> Iterator[Proxy]:
    """Runs one of the proxies on UDP, with sipp answering behind it."""
    port, callee = free_port(), free_port()
    command = kamailio(folder, port, callee) if name == "kamailio" else ours(folder, UDP, port, callee)
    answering = ["sipp", "-sf", str(HERE / "callee.xml"), "-i", "127.0.0.1", "-p", str(callee), "-nostdin"]
    with (
        running(answering, folder / "callee.log", LOAD_CORE) as sipp,
        running(command, folder / f"{name}.log", PROXY_CORE) as process,
    ):
        await_port(callee, socket.SOCK_DGRAM, sipp)
        await_port(port, socket.SOCK_DGRAM, process)
        yield Proxy(process, port, callee, folder)


@contextlib.contextmanager
def tls_proxy(folder: Path) -> Iterator[Proxy]:
    """Runs our proxy on TLS with Digest; the callee is to be started by tls_calls()."""
    authority = ThrowawayAuthority(folder)
    for one in ("proxy", "callee"):
        authority.issue(one, addresses=("127.0.0.1",))
    (folder / "users").write_text("alice:wonderland\n")
    port, callee = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
    with running(ours(folder, TLS, port, callee), folder / "tls.log", PROXY_CORE) as process:
        await_port(port, socket.SOCK_STREAM, process)
        yield Proxy(process, port, callee, folder)


def start_udp_calls(proxy: Proxy, rate: int, calls: int) -> tuple[subprocess.Popen[bytes], Path]:
    """Starts sipp as the caller; returns it with the file of its statistics."""
    statistics = proxy.folder / f"calls-{rate}-{time.monotonic_ns()}.csv"
    command = ["taskset", "-c", str(LOAD_CORE), "sipp", f"127.0.0.1:{proxy.port}", "-sf", str(HERE / "caller.xml")]
    command += ["-i", "127.0.0.1", "-p", str(free_port()), "-r", str(rate), "-m", str(calls)]
    command += ["-l", str(max(200, rate * 4)), "-trace_stat", "-stf", str(statistics), "-fd", "1", "-nostdin"]
    command += ["-timeout", f"{calls / rate * 1.2 + 5:.0f}s", "-timeout_error"]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=proxy.folder, stdin=quiet, stdout=quiet, stderr=quiet), statistics


def udp_outcome(statistics: Path, calls: int, rate: int) -> Outcome:
    """Returns what sipp's statistics say of calls that are over."""
    with statistics.open() as lines:
        rows = list(csv.DictReader(lines, delimiter=";"))
    succeeded = int(rows[-1]["SuccessfulCall(C)"])
    # Told each second; the last time before all were begun, since the very last row comes when all are over.
    begun = [(int(row["OutgoingCall(C)"]), _seconds(row["ElapsedTime(C)"])) for row in rows]
    begun = [one for one in begun if one[0] < calls and one[1] >= 1] or [(rate, 1.0)]
    return Outcome(succeeded, calls - succeeded, begun[-1][0] / begun[-1][1])


def _seconds(text: str) -> float:
    """sipp's hours:minutes:seconds:microseconds."""
    hours, minutes, seconds, *microseconds = (int(part) for part in text.replace(".", ":").split(":"))
    return hours * 3600 + minutes * 60 + seconds + (microseconds[0] / 1e6 if microseconds else 0)


def udp_calls(proxy: Proxy, rate: int, seconds: float) -> Outcome:
    """Makes calls at a rate by sipp."""
    calls = int(rate * seconds)
    process, statistics = start_udp_calls(proxy, rate, calls)
    process.wait(seconds * 2 + 60)
    return udp_outcome(statistics, calls, rate)


def tls_calls(proxy: Proxy, rate: int, seconds: float) -> Outcome:
    """Makes calls at a rate by tls_load.py."""
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, str(HERE / "tls_load.py")]
    command += [str(proxy.port), str(proxy.callee), str(proxy.folder), "--rate", str(rate), "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds * 3 + 60)
    found = json.loads(done.stdout)
    return Outcome(found["succeeded"], found["failed"], found["rate"])
