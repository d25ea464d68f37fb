"""sipp as a peer: many calls over UDP with Digest, counted by sipp itself."""

from __future__ import annotations

import csv
from pathlib import Path

from .process import LOOPBACK, PeerProcess, free_ports

SCENARIOS = Path(__file__).parent


class SippCaller(PeerProcess):
    """Makes `calls` calls at `rate` a second to `target` (host:port) by a scenario of this folder."""

    def __init__(self, directory: Path, *, target: str, scenario: str, calls: int, rate: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.statistics_path = directory / "statistics.csv"
        command = ["sipp", target, "-sf", str(SCENARIOS / scenario), "-s", "service", "-m", str(calls)]
        command += ["-r", str(rate), "-l", str(calls), "-i", LOOPBACK, "-p", str(free_ports(1)), "-nostdin"]
        command += [
            "-trace_stat",
            "-stf",
            str(self.statistics_path),
            "-trace_err",
            "-fd",
            "1",
            "-timeout",
            "90s",
        ]
        super().__init__(command, directory, name="sipp")

    def totals(self) -> dict[str, int]:
        """Returns sipp's final counts: successful and failed calls, and retransmissions."""
        with self.statistics_path.open(newline="") as file:
            last = list(csv.DictReader(file, delimiter=";"))[-1]
        return {
            "successful": int(last["SuccessfulCall(C)"]),
            "failed": int(last["FailedCall(C)"]),
            "retransmissions": int(last["Retransmissions(C)"]),
        }


class SippCallee(PeerProcess):
    """Takes one call on a free port of loopback by a scenario of this folder."""

    def __init__(self, directory: Path, *, scenario: str) -> None:
        self.port = free_ports(1)
        command = ["sipp", "-sf", str(SCENARIOS / scenario), "-m", "1", "-i", LOOPBACK, "-p", str(self.port)]
        command += ["-nostdin", "-trace_err", "-timeout", "20s"]
        super().__init__(command, directory, name=f"sipp-{self.port}")
