"""Answer calls that pyVoIP signals, with media of ours: keyed by MIKEY, as SIP over UDP is open to be read.

Run: python examples/media_with_pyvoip.py PORT KEY, where KEY is shared with the caller, in hexadecimal
(pip install pyVoIP). It sends back what it hears. Ctrl-C ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from threading import Thread

from pyVoIP.VoIP.VoIP import SIP  # pyVoIP.SIP itself cannot be imported first: it needs what needs it

from sdp import LocalMedia, NegotiationError, SdpError, SessionNegotiation
from sdp.mikey import MikeyKeying, Mode, Ourselves, Peer, Proposal, ReplayCache, uri_id
from securertc import CallEndedError, MediaSession
from srtp import SecretBytes

HOST = "127.0.0.1"


class Phone(SIP.SIPClient):
    """pyVoIP's SIP without a registrar; the SDP is ours. It reads in a thread, the media runs on the event loop."""

    def __init__(self, port: int, keying: MikeyKeying) -> None:
        super().__init__(HOST, port, "echo", "", None, myIP=HOST, myPort=port, callCallback=self.called)
        self.keying = keying
        self.loop = asyncio.get_running_loop()
        self.calls: dict[str, tuple[MediaSession, asyncio.Task[None]]] = {}

    def listen(self) -> None:
        self.NSD = True
        self.s = self.out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.s.bind((self.myIP, self.myPort))
        Thread(target=self.recv_loop, daemon=True).start()

    def called(self, request: SIP.SIPMessage) -> None:
        self.loop.call_soon_threadsafe(self.answer if request.method == "INVITE" else self.end, request)

    def answer(self, request: SIP.SIPMessage) -> None:
        call_id = request.headers["Call-ID"]
        if call_id in self.calls:
            return  # sent again, as UDP may lose what we say
        self.tagLibrary[call_id] = self.gen_tag()
        media = MediaSession(HOST)
        negotiation = SessionNegotiation([LocalMedia(HOST, media.local_port, keying=(self.keying,))])
        try:
            negotiation.receive_offer(request.raw.partition(b"\r\n\r\n")[2])
            answer = negotiation.create_answer()
        except SdpError as error:
            print("refused:", error, *(error.refusals if isinstance(error, NegotiationError) else ()))
            media.close()
            self.reply(request, self.gen_busy(request))
            return
        assert negotiation.agreement is not None
        agreed = negotiation.agreement.media[0]
        assert agreed is not None
        media.start(agreed)
        self.calls[call_id] = media, self.loop.create_task(echo(media))
        contact = f"Contact: <sip:{self.username}@{HOST}:{self.myPort}>\r\nContent-Type: application/sdp\r\n"
        head = self.gen_ok(request).partition("Content-Length")[0] + contact
        self.reply(request, f"{head}Content-Length: {len(answer.encode())}\r\n\r\n{answer}")
        print(
            f"call keyed by {agreed.keying.method if agreed.keying else 'nothing'}: {agreed.crypto_suite}", flush=True
        )

    def reply(self, request: SIP.SIPMessage, response: str) -> None:
        host, port = request.headers["Via"][0]["address"]
        self.out.sendto(response.encode(), (host, int(port)))

    def end(self, request: SIP.SIPMessage) -> None:
        media, _ = self.calls.pop(request.headers["Call-ID"], (None, None))
        if media is not None:
            print(f"ended after {media.statistics.authenticated} authenticated packets", flush=True)
            media.close()


async def echo(media: MediaSession) -> None:
    with contextlib.suppress(CallEndedError):
        while True:
            await media.send_audio(await media.receive_audio())


async def main(port: int, key: SecretBytes) -> None:
    us, caller = uri_id("sip:echo@example.com"), uri_id("sip:alice@example.com")
    proposal = Proposal(mode=Mode.PSK, streams=())
    phone = Phone(port, MikeyKeying(Ourselves(us), Peer(caller, key), proposal, replay_cache=ReplayCache()))
    phone.listen()
    print("ready", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    await stop.wait()
    phone.NSD = False


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), SecretBytes(bytes.fromhex(sys.argv[2]))))
