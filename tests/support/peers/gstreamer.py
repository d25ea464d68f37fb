"""GStreamer as a peer: its srtpenc and srtpdec, keyed by the parts of an `a=crypto` line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .process import LOOPBACK, PeerProcess


@dataclass(frozen=True)
class GstreamerKey:
    """A key as GStreamer wants it: key and salt, and the MKI, in hexadecimal, and its names of cipher and tag."""

    key: str
    cipher: str
    auth: str
    mki: str = ""

    @property
    def rtcp_auth(self) -> str:
        """Of SRTCP; the suites of 32 bits have 80 there (RFC 4568 6.2.2), which GStreamer must be told."""
        return self.auth.replace("-32", "-80")


class GstreamerSender(PeerProcess):
    """Sends PCMU of a sine tone in 20 ms packets as SRTP."""

    def __init__(self, directory: Path, *, port: int, key: GstreamerKey, tone: float, packets: int) -> None:
        command = ["gst-launch-1.0", "-q", "audiotestsrc", "is-live=true", f"freq={tone:g}", "samplesperbuffer=160"]
        command += [f"num-buffers={packets}", "!", "audio/x-raw,rate=8000,channels=1", "!", "mulawenc", "!"]
        command += ["rtppcmupay", "min-ptime=20000000", "max-ptime=20000000", "!"]
        command += ["srtpenc", f"key={key.key}", f"rtp-cipher={key.cipher}", f"rtp-auth={key.auth}"]
        command += [f"rtcp-cipher={key.cipher}", f"rtcp-auth={key.rtcp_auth}", *([f"mki={key.mki}"] if key.mki else [])]
        command += ["!", "udpsink", f"host={LOOPBACK}", f"port={port}"]
        super().__init__(command, directory, name="gstreamer-sender")


class GstreamerReceiver(PeerProcess):
    """Decrypts `packets` SRTP packets of one SSRC into `out.ulaw`, and ends then."""

    def __init__(self, directory: Path, *, port: int, key: GstreamerKey, ssrc: int, packets: int) -> None:
        self.audio_path = directory / "out.ulaw"
        caps = "application/x-srtp,media=audio,payload=(int)0,clock-rate=8000,encoding-name=PCMU,roc=(uint)0"
        caps += f",ssrc=(uint){ssrc},srtp-key=(buffer){key.key},srtp-cipher=(string){key.cipher}"
        caps += f",srtp-auth=(string){key.auth},srtcp-cipher=(string){key.cipher},srtcp-auth=(string){key.rtcp_auth}"
        if key.mki:
            caps += f",mki=(buffer){key.mki}"
        command = ["gst-launch-1.0", "-e", "udpsrc", f"address={LOOPBACK}", f"port={port}", f"num-buffers={packets}"]
        command += [f"caps={caps}", "!", "srtpdec", "!", "rtppcmudepay", "!", "filesink", f"location={self.audio_path}"]
        super().__init__(command, directory, name="gstreamer-receiver")


class GstreamerRtcpRelay(PeerProcess):
    """Takes RTCP on one port and sends it as SRTCP to another, or, with `decrypt`, the other way round."""

    def __init__(
        self, directory: Path, *, listen: int, to: int, key: GstreamerKey, ssrc: int, decrypt: bool, packets: int
    ) -> None:
        source = ["udpsrc", f"address={LOOPBACK}", f"port={listen}", f"num-buffers={packets}"]
        sink = ["!", "udpsink", f"host={LOOPBACK}", f"port={to}", "sync=false", "async=false"]
        if decrypt:
            caps = f"application/x-srtcp,ssrc=(uint){ssrc},roc=(uint)0,srtp-key=(buffer){key.key}"
            caps += f",srtp-cipher=(string){key.cipher},srtp-auth=(string){key.auth}"
            caps += f",srtcp-cipher=(string){key.cipher},srtcp-auth=(string){key.rtcp_auth}"
            caps += f",mki=(buffer){key.mki}" if key.mki else ""
            work = ["!", "d.rtcp_sink", "srtpdec", "name=d", "d.rtcp_src"]
        else:
            caps = "application/x-rtcp"
            work = ["!", "e.rtcp_sink_0", "srtpenc", "name=e", f"key={key.key}", f"rtp-cipher={key.cipher}"]
            work += [f"rtp-auth={key.auth}", f"rtcp-cipher={key.cipher}", f"rtcp-auth={key.rtcp_auth}"]
            work += [*([f"mki={key.mki}"] if key.mki else []), "e.rtcp_src_0"]
        command = ["gst-launch-1.0", "-e", *source, f"caps={caps}", *work, *sink]
        super().__init__(command, directory, name="gstreamer-rtcp")
