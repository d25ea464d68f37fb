"""baresip as a peer: SIP over UDP, TCP and TLS, sdescriptions keying, decoded audio dumped to WAV files."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

from .authority import TestAuthority
from .process import LOOPBACK, PeerError, PeerProcess, free_ports
from .tones import write_tone

_CONFIG = """\
poll_method epoll
sip_listen {ip}:{sip_port}
sip_certificate {certificate}
sip_cafile {ca}
call_local_timeout 30
call_max_calls 16
audio_path /usr/share/baresip
audio_source aufile,{tone}
audio_player aubridge,null{control_port}
audio_alert aubridge,alert{control_port}
ausrc_srate 8000
auplay_srate 8000
audio_level no
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
audio_buffer 20-160
rtp_ports {rtp_low}-{rtp_high}
rtcp_mux {rtcp_mux}
jitter_buffer_delay 5-10
rtp_stats yes
net_interface {ip}
module_path /usr/lib/baresip/modules
module stdio.so
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
snd_path {directory}
module srtp.so
module dtls_srtp.so
module uuid.so
module_tmp account.so
module_app contact.so
module_app debug_cmd.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {ip}:{control_port}
"""


class Baresip(PeerProcess):
    """One baresip with one account `<sip:NAME@127.0.0.1;transport=…>` that plays a tone in every call.

    `account` is the account line with `{port}` for the port it listens on: baresip puts TLS one above its
    `sip_listen` port. baresip 1.0.0 never verifies a TLS server's certificate.
    """

    def __init__(
        self,
        directory: Path,
        authority: TestAuthority,
        *,
        name: str,
        account: str,
        tone: float,
        rtcp_mux: bool = True,
    ) -> None:
        command = ["baresip", "-f", str(directory), "-s"]
        super().__init__(command, directory, name=name, keep_stdin_open=True)
        self.sip_port = free_ports(2)
        self.tls_port = self.sip_port + 1
        self.control_port = free_ports(1)
        rtp_low = free_ports(40, even=True)
        directory.mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(
            ip=LOOPBACK,
            sip_port=self.sip_port,
            certificate=authority.issue(name),
            ca=authority.ca_path,
            tone=write_tone(directory / "tone.wav", tone),
            control_port=self.control_port,
            rtp_low=rtp_low,
            rtp_high=rtp_low + 38,
            directory=directory,
            rtcp_mux="yes" if rtcp_mux else "no",
        )
        (directory / "config").write_text(config)
        (directory / "accounts").write_text(account.format(port=self.sip_port, tls_port=self.tls_port) + "\n")
        (directory / "contacts").write_text("")
        self._control: socket.socket | None = None
        self._received = b""
        self.events: list[dict[str, Any]] = []

    def start(self) -> None:
        super().start()
        self.await_tcp_port(self.control_port)
        self._control = socket.create_connection((LOOPBACK, self.control_port), 3)
        self._control.settimeout(0.1)

    def stop(self, *, seconds: float = 3.0) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        super().stop(seconds=seconds)

    def command_line(self, command: str, parameters: str = "") -> None:
        """Sends one command of baresip's menu (`dial`, `accept`, `hangup`, …) by its control connection."""
        assert self._control is not None
        body = json.dumps({"command": command, "params": parameters, "token": "t"}).encode()
        self._control.sendall(b"%d:%s," % (len(body), body))

    def dial(self, uri: str) -> None:
        self.command_line("dial", uri)

    def hangup(self) -> None:
        self.command_line("hangup")

    def poll_events(self) -> None:
        """Reads what baresip has reported by now into `events`."""
        assert self._control is not None
        try:
            while received := self._control.recv(65536):
                self._received += received
        except TimeoutError:
            pass
        while b":" in self._received:
            digits, rest = self._received.split(b":", 1)
            length = int(digits)
            if len(rest) < length + 1:
                return
            self.events.append(json.loads(rest[:length]))
            self._received = rest[length + 1 :]

    def await_event(self, kind: str, *, seconds: float = 10.0) -> dict[str, Any]:
        """Returns the first event of this type (`CALL_ESTABLISHED`, `CALL_CLOSED`, …)."""
        deadline = time.monotonic() + seconds
        while True:
            self.poll_events()
            for event in self.events:
                if event.get("type") == kind:
                    return event
            if time.monotonic() > deadline:
                raise PeerError(f"{self.name}: no {kind} in {seconds} s, but {self.events}\n{self.log[-4000:]}")

    def decoded_audio(self) -> Path:
        """Returns the WAV file of what baresip decoded in its last call."""
        files = sorted(self.directory.glob("dump-*-dec.wav"))
        if not files:
            raise PeerError(f"{self.name} decoded no audio:\n{self.log[-4000:]}")
        return files[-1]
