"""What the tests of refusals share: a first message, and the refusal it must meet."""

from __future__ import annotations

import pytest
from mikey_parties import NOW, STREAMS, Pair

from sdp.mikey import (
    DataType,
    Err,
    Initiator,
    Message,
    MikeyRefusedError,
    Mode,
    Proposal,
    Responder,
)


def request_of(pair: Pair, mode: Mode, **more: object) -> tuple[Initiator, bytes]:
    initiator = pair.initiator(Proposal(mode=mode, streams=STREAMS, **more))  # type: ignore[arg-type]
    return initiator, initiator.create_message(NOW)


def refused(responder: Responder, data: bytes, *, now: float = NOW, **more: object) -> MikeyRefusedError:
    with pytest.raises(MikeyRefusedError) as caught:
        responder.receive(data, now, **more)  # type: ignore[arg-type]
    return caught.value


def error_of(error: MikeyRefusedError) -> Message:
    assert error.response is not None
    message = Message.parse(error.response)
    assert message.header.data_type == DataType.ERROR
    assert [one.error_no for one in message.all(Err)] == [error.error_no]
    return message


def timestamp(now: float) -> bytes:
    return (int(now) + 2_208_988_800).to_bytes(8)[4:] + bytes(4)
