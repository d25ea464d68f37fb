"""Calls per second through our proxy and through kamailio, by the same sipp scenario in one run: `make bench-proxy`.

Each proxy is held to one core. The rate rises until a call fails; what is printed is the highest rate without one.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
MODULES = "/usr/lib/x86_64-linux-gnu/kamailio/modules/"
CONFIGURATION = """
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


def free_port() -> int:
    """Returns a UDP port that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program in its own process group, and ends it with its children."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(10)


def ours(folder: Path, port: int, callee: int) -> list[str]:
    """Writes our configuration and returns the command."""
    path = folder / "proxy.toml"
    path.write_text(CONFIGURATION.format(port=port, callee=callee))
    return [sys.executable, "-m", "securertc", "proxy", "--config", str(path)]


def kamailio(folder: Path, port: int, callee: int) -> list[str]:
    """Writes kamailio's configuration and returns the command."""
    text = (HERE / "kamailio.cfg").read_text()
    for name, value in (("@PORT@", str(port)), ("@CALLEE@", str(callee)), ("@MODULES@", MODULES)):
        text = text.replace(name, value)
    path = folder / "kamailio.cfg"
    path.write_text(text)
    return [
        "kamailio",
        "-m",
        "1024",
        "-M",
        "64",
        "-f",
        str(path),
        "-DD",
        "-E",
        "-Y",
        str(folder),
        "-P",
        str(folder / "kamailio.pid"),
    ]


def failed_calls(folder: Path, port: int, rate: int, seconds: float) -> tuple[int, int]:
    """Runs the caller; returns how many calls succeeded and how many did not."""
    statistics = folder / f"calls-{rate}.csv"
    calls = int(rate * seconds)
    command = ["sipp", f"127.0.0.1:{port}", "-sf", str(HERE / "caller.xml"), "-i", "127.0.0.1", "-p", str(free_port())]
    command += [
        "-r",
        str(rate),
        "-m",
        str(calls),
        "-l",
        str(max(200, rate * 4)),
        "-trace_stat",
        "-stf",
        str(statistics),
    ]
    command += ["-fd", "1", "-nostdin", "-timeout", f"{seconds + 15:g}s", "-timeout_error"]
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds + 60
    )
    with statistics.open() as lines:
        last = list(csv.DictReader(lines, delimiter=";"))[-1]
    succeeded = int(last["SuccessfulCall(C)"])
    return succeeded, calls - succeeded if done.returncode in (0, 1) else max(1, calls - succeeded)


def resident(process_group: int) -> int:
    """Returns the resident memory of a process group in KiB."""
    found = subprocess.run(["ps", "-eo", "pgid=,rss="], capture_output=True, text=True, check=True).stdout
    rows = (line.split() for line in found.splitlines())
    return sum(int(rss) for group, rss in rows if int(group) == process_group)


def highest_rate(name: str, rates: list[int], seconds: float, folder: Path) -> int:
    """Returns the highest rate without a failed call; 0 when there was none."""
    port, callee = free_port(), free_port()
    command = (ours if name == "securertc" else kamailio)(folder, port, callee)
    answering = ["sipp", "-sf", str(HERE / "callee.xml"), "-i", "127.0.0.1", "-p", str(callee), "-nostdin"]
    best = 0
    with (
        running(answering, folder / "callee.log"),
        running(["taskset", "-c", "0", *command], folder / f"{name}.log") as proxy,
    ):
        time.sleep(2)
        for rate in rates:
            before = resident(proxy.pid)
            succeeded, failed = failed_calls(folder, port, rate, seconds)
            grown = resident(proxy.pid) - before
            print(f"{name:>10} {rate:>6}/s  {succeeded} calls, {failed} failed, memory {grown:+} KiB", flush=True)
            if failed:
                break
            best = rate
    return best


def main() -> None:
    """Prints both rates and their ratio; fails only when a call through our proxy failed at the lowest rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="200,500,800,1100,1500,2000,3000,5000", help="calls/s to try, rising")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each rate is kept up")
    options = parser.parse_args()
    rates = [int(one) for one in options.rates.split(",")]
    missing = [one for one in ("sipp", "kamailio", "taskset") if shutil.which(one) is None]
    if missing:
        sys.exit(f"needs {', '.join(missing)} (Debian: sip-tester, kamailio, util-linux)")
    found = {}
    for name in ("securertc", "kamailio"):
        with tempfile.TemporaryDirectory(prefix="bench-proxy-") as folder:
            found[name] = highest_rate(name, rates, options.seconds, Path(folder))
    rows = [f"{name} {'at least ' if rate == rates[-1] else ''}{rate}/s" for name, rate in found.items()]
    print(f"without a failed call: {', '.join(rows)}")
    if rates[-1] in found.values() or not found["kamailio"]:
        print("no ratio: a proxy held the highest rate that was tried, or kamailio held none; see --rates")
    else:
        print(f"ratio {found['securertc'] / found['kamailio']:.2f}")
    sys.exit(0 if found["securertc"] else 1)


if __name__ == "__main__":
    main()
