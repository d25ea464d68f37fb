"""ffmpeg as a peer: an independent SRTP sender and receiver keyed by `a=crypto` of an SDP file."""

from __future__ import annotations

from pathlib import Path

from .process import LOOPBACK, PeerProcess


class FfmpegSender(PeerProcess):
    """Sends PCMU of a sine tone in 20 ms packets, protected with `key` (base64 of master key and salt)."""

    def __init__(self, directory: Path, *, port: int, crypto_suite: str, key: str, tone: float, seconds: float) -> None:
        command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "warning", "-re", "-f", "lavfi"]
        command += ["-i", f"sine=frequency={tone:g}:sample_rate=8000", "-t", f"{seconds:g}"]
        command += ["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1", "-payload_type", "0", "-f", "rtp"]
        command += ["-srtp_out_suite", crypto_suite, "-srtp_out_params", key]
        self.sdp_path = directory / "sender.sdp"
        command += ["-sdp_file", str(self.sdp_path), f"srtp://{LOOPBACK}:{port}?pkt_size=172"]
        super().__init__(command, directory, name="ffmpeg-sender")


class FfmpegReceiver(PeerProcess):
    """Receives what the SDP text describes, decodes it into `out.wav`, and ends after `seconds`."""

    def __init__(self, directory: Path, *, sdp: str, seconds: float) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "receiver.sdp"
        path.write_text(sdp)
        self.wav_path = directory / "out.wav"
        command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "info"]
        command += ["-protocol_whitelist", "file,udp,rtp,srtp,crypto", "-i", str(path)]
        command += ["-t", f"{seconds:g}", "-ar", "8000", "-ac", "1", "-y", str(self.wav_path)]
        super().__init__(command, directory, name="ffmpeg-receiver")
