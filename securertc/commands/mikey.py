"""What `securertc mikey` does: shows the fields of a MIKEY message."""

from __future__ import annotations

import base64
import binascii
import sys

import click

from sdp.mikey import Message, MikeyParseError, describe

from .display import printable

EXIT_MALFORMED = 1


@click.group()
def mikey() -> None:
    """Look into MIKEY messages (RFC 3830)."""


@mikey.command()
@click.argument("text", metavar="BASE64")
@click.option("--show-keys", is_flag=True, help="Show keys that are not encrypted, too.")
def show(text: str, show_keys: bool) -> None:
    """Name every field of the message BASE64; "-" reads it from standard input.

    It may stand as in SDP, "a=key-mgmt:mikey BASE64". Exits with 1 if it is no MIKEY message.
    """
    words = (sys.stdin.read() if text == "-" else text).split()
    try:
        data = base64.b64decode(words[-1].encode() if words else b"", validate=True)
        message = Message.parse(data)
    except (binascii.Error, ValueError) as error:
        # MikeyParseError is a ValueError too, and says where.
        reason = printable(str(error)) if isinstance(error, MikeyParseError) else "this is no base64"
        click.echo(f"error: {reason}", err=True)
        sys.exit(EXIT_MALFORMED)
    for one in describe(message, show_keys=show_keys):
        for line in one.lines():
            click.echo(printable(line))
