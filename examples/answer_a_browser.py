"""Answers browsers: a page that calls us by WebRTC, and hears itself. ICE-lite, DTLS-SRTP, G.711; no SIP.

Run: python examples/answer_a_browser.py [ADDRESS]
Then open the page it names; browsers give their microphone to pages of localhost, or over HTTPS. ADDRESS is the
numeric one that browsers can reach this machine at, 127.0.0.1 by default. Needs `securertc[dtls]`.
"""

from __future__ import annotations

import asyncio
import sys

from sdp import LocalMedia, SdpError, SessionNegotiation
from sdp.dtls import DtlsCertificate, DtlsSrtp
from sdp.ice import IceLite
from securertc import CallEndedError, MediaSession, SecureRtcError
from securertc.media import DtlsMedia

PAGE = b"""<!doctype html><title>securertc</title>
<button onclick="call()">Call</button><audio id="echo" autoplay></audio>
<script>
async function call() {
  const connection = new RTCPeerConnection();
  connection.ontrack = event => echo.srcObject = new MediaStream([event.track]);
  const microphone = await navigator.mediaDevices.getUserMedia({audio: true});
  connection.addTrack(microphone.getTracks()[0]);
  await connection.setLocalDescription();
  const response = await fetch("/", {method: "POST", body: connection.localDescription.sdp});
  await connection.setRemoteDescription({type: "answer", sdp: await response.text()});
}
</script>"""
MAX_OFFER = 65536


class Echo:
    """Answers offers, each with a media session of its own that sends back what it hears."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.method = DtlsSrtp(DtlsCertificate.generate())
        self.calls: set[asyncio.Task[None]] = set()

    def answer(self, offer: bytes) -> str:
        """Returns the answer; raises SdpError for what is no acceptable offer."""
        media = MediaSession(self.host)
        ice = IceLite(((self.host, media.local_port),))
        media.key_by(DtlsMedia(self.method, ice))
        said = ice.description
        local = LocalMedia(
            self.host,
            media.local_port,
            keying=(self.method,),
            attributes=said.media_lines(),
            session_attributes=said.session_lines(),
        )
        negotiation = SessionNegotiation([local])
        try:
            negotiation.receive_offer(offer)
            answer = negotiation.create_answer()
            agreed = negotiation.agreement.of_stream(0) if negotiation.agreement else None
            assert agreed is not None
            media.start(agreed)
        except SdpError:
            media.close()
            raise
        call = asyncio.ensure_future(self.echo(media))
        self.calls.add(call)
        call.add_done_callback(self.calls.discard)
        return answer

    async def echo(self, media: MediaSession) -> None:
        """Sends back what is heard, until nothing has come for ten seconds."""
        try:
            agreed = await media.keyed()
            print("keyed by DTLS-SRTP:", agreed.crypto_suite, flush=True)
            while True:
                async with asyncio.timeout(10):
                    samples = await media.receive_audio()
                await media.send_audio(samples)
        except (CallEndedError, SecureRtcError, TimeoutError) as error:
            print("ended:", error or "silence", flush=True)
        finally:
            media.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of HTTP: the page, or an offer."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            status, body = "200 OK", PAGE
            if head.startswith("POST"):
                length = int(fields.get("content-length", "0"))
                offer = await reader.readexactly(min(length, MAX_OFFER))
                try:
                    body = self.answer(offer).encode()
                except SdpError as error:
                    status, body = "488 Not Acceptable Here", str(error).encode()
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
            )
            await writer.drain()
        except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()


async def main(host: str) -> None:
    server = await asyncio.start_server(Echo(host).serve, host, 0)
    print(f"http://{host}:{server.sockets[0].getsockname()[1]}/", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(*(sys.argv[1:] or ["127.0.0.1"])))
    except KeyboardInterrupt:
        sys.exit(0)
