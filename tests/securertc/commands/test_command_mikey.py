"""`securertc mikey show`: every field by name, no key unless asked for, one line for what is no message."""

from __future__ import annotations

import base64

import mikey_messages
import pytest
from click.testing import CliRunner

from securertc.cli import main

TEXT = base64.b64encode(mikey_messages.ONVIF).decode()
KEY = bytes(range(0x40, 0x40 + 30)).hex()


def run(*arguments: str, text: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["mikey", "show", *arguments], input=text)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("argument", [TEXT, f"mikey {TEXT}", f"a=key-mgmt:mikey {TEXT}"])
def test_every_field_is_named(argument: str) -> None:
    status, shown, _ = run(argument)
    assert status == 0
    for text in (
        "CSB ID: 0xfd6d77d0",
        "SSRC: 0xc20f551c",
        "TS type: 0 (NTP_UTC)",
        "Value: 1 (AES_CM)",
        "SPI: 0000002f",
    ):
        assert text in shown
    assert KEY not in shown


def test_keys_are_shown_when_asked_for() -> None:
    assert KEY in run(TEXT, "--show-keys")[1]


def test_standard_input_is_read() -> None:
    assert run("-", text=f"{TEXT}\n")[:2] == run(TEXT)[:2]


@pytest.mark.parametrize(
    ("text", "reason"), [("%%%", "no base64"), ("", "HDR, version"), (TEXT[:40], "SP"), ("é", "no base64")]
)
def test_what_is_no_message_is_one_line(text: str, reason: str) -> None:
    status, shown, error = run(text)
    assert (status, shown) == (1, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert reason in error
