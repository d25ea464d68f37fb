"""The command line: `securertc demo`, `securertc call URI`, `securertc answer`, `securertc dns DOMAIN`,
`securertc ping URI`.

Exit codes: 0 all as asked; 1 a tier or the audio fell short; 2 wrong usage; 3 no call, no answer or no way there.
"""

from __future__ import annotations

import asyncio
import io
import os
import ssl
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from rtp import RtpError, UnsupportedAudioError, read_wav, write_wav
from sdp import MediaSecurity, SdpError
from sip import Credentials, SipError, SipParseError, SipUri
from sip.dns_records import Resolver

from .call_display import report_table
from .command_call import Answering, CallOptions, CallOutcome, read_users, run_answer, run_call
from .command_dns import run_dns
from .command_ping import DEFAULT_TIMEOUT, PingOptions, run_ping
from .demo import print_result, run_demo
from .endpoint import TlsFiles
from .errors import MissingExtraError, SecureRtcError
from .media_stream import Samples
from .melody import SAMPLE_RATE, shipped_melody
from .name_resolution import name_resolver
from .security_policy import SecurityPolicy

EXIT_SHORT = 1
EXIT_NO_CALL = 3
_PASSWORD_VARIABLE = "SECURERTC_PASSWORD"  # noqa: S105  # the name of a variable

_Result = TypeVar("_Result")
_Command = Callable[..., None]
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
_wav_in = click.option("--wav-in", type=_FILE, help="WAV file to play, instead of the tune that comes along.")
_wav_out = click.option("--wav-out", type=_NEW_FILE, help="WAV file to write what was heard to.")
_CALL_OPTIONS = (
    click.option("--aor", default="sip:anonymous@anonymous.invalid", help="Our address, sip:USER@DOMAIN."),
    click.option("--host", help="Numeric address of ours, for SIP and for media."),
    click.option("--port", type=click.IntRange(0, 65535), default=0, help="Our SIP port; 0 takes any."),
    click.option("--ca-file", type=_FILE, help="PEM file of the authorities to trust.  [default: the system's]"),
    click.option("--certificate", type=_FILE, help="PEM file of our certificate, to listen on TLS."),
    click.option("--key", type=_FILE, help="PEM file of its key, if it is in another file."),
    click.option("--username", help=f"User for Digest; the password is asked for, or read from ${_PASSWORD_VARIABLE}."),
    click.option("--realm", help="Digest realm.  [default: the domain of --aor]"),
    click.option("--proxy", help="SIP URI of the proxy that our requests go to."),
    click.option("--register", is_flag=True, help="Register --aor first."),
    click.option(
        "--media",
        type=click.Choice([one.value for one in MediaSecurity]),
        default=MediaSecurity.REQUIRED.value,
        show_default=True,
        help="Whether the media has to be SRTP.",
    ),
    click.option("--cleartext-keys", is_flag=True, help="Let SRTP keys travel over UDP and TCP, readable by anybody."),
    click.option("--duration", type=click.FloatRange(min=0.1), help="Hang up after so many seconds."),
    _wav_in,
    _wav_out,
)


_name_server = click.option(
    "--name-server",
    "name_servers",
    multiple=True,
    help="ADDRESS or ADDRESS:PORT of a name server to ask; repeatable.  [default: the system's]",
)


def _call_options(command: _Command) -> _Command:
    for option in reversed(_CALL_OPTIONS):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="securertc", prog_name="securertc")
def main() -> None:
    """Secured calls: SIP over TLS, SRTP keyed by sdescriptions, and a report of what that gives."""


@main.command()
@_wav_in
@_wav_out
@click.option("--seconds", type=click.FloatRange(min=0.1), help="Play no more than so many seconds.")
def demo(wav_in: Path | None, wav_out: Path | None, seconds: float | None) -> None:
    """Place a secured call between two endpoints here, and check all of it.

    Makes a throw-away authority and plays audio both ways over TLS, Digest and SRTP. Exits with 1 if a tier
    gave less than was asked of it, or the audio received is not the audio sent.
    """
    console = _console()
    audio = _read_audio(wav_in, seconds)
    console.print("[bold]securertc demo[/]: one secured call, over loopback\n")
    result = _run(run_demo(audio, console))
    _write_audio(wav_out, result.heard_by_callee)
    print_result(result, console)
    sys.exit(EXIT_SHORT if result.shortfalls else 0)


@main.command()
@click.argument("uri")
@_call_options
def call(uri: str, wav_out: Path | None, **options: Any) -> None:
    """Call URI, play audio, and report what protected the call.

    The transport is the URI's: "sip:bob@example.com;transport=tls" or "sips:bob@example.com". The call ends
    with the audio or after --duration, when the other side hangs up, or by Ctrl-C.
    """
    settings = _settings(options)
    _check_uri(uri, "URI")
    console = _console()
    _finish(_run(run_call(uri, settings, console)), settings, wav_out, console)


@main.command()
@click.option("--transport", type=click.Choice(["tls", "tcp", "udp"]), default="tls", show_default=True)
@click.option("--users", type=_FILE, help="File of NAME:PASSWORD lines: who may call, proven by Digest in --realm.")
@click.option(
    "--digest-algorithm",
    "algorithms",
    type=click.Choice(["SHA-512-256", "SHA-256", "MD5"]),
    multiple=True,
    default=("SHA-256", "MD5"),
    show_default=True,
    help="Algorithms to ask for, the preferred one first.",
)
@_call_options
def answer(
    transport: str, users: Path | None, algorithms: tuple[str, ...], wav_out: Path | None, **options: Any
) -> None:
    """Wait for a call, answer it, play audio, and report what protected it.

    Listening on TLS needs --certificate. Ctrl-C ends the call, or the wait for one.
    """
    settings = _settings(options)
    if transport == "tls" and settings.tls.certificate is None and not settings.register:
        raise click.UsageError("listening on TLS needs --certificate")
    try:
        known = {} if users is None else read_users(users)
    except (ValueError, OSError) as error:
        raise click.BadParameter(str(error), param_hint="--users") from None
    console = _console()
    answering = Answering(transport, known, options["realm"], algorithms)
    _finish(_run(run_answer(answering, settings, console)), settings, wav_out, console)


@main.command()
@click.argument("domain")
@_name_server
def dns(domain: str, name_servers: tuple[str, ...]) -> None:
    """Show what DNS says of DOMAIN, and where requests to it go.

    DOMAIN may be a SIP URI too: "sips:example.com", "sip:example.com;transport=tcp". Exits with 3 when it leads nowhere.
    """
    uri = _check_uri(domain if domain.lower().startswith(("sip:", "sips:")) else f"sip:{domain}", "DOMAIN")
    resolver = _resolver(name_servers)
    if resolver is None:
        raise click.ClickException(str(MissingExtraError("asking DNS", extra="dns")))
    _run(run_dns(uri, resolver, _console()))


@main.command()
@click.argument("uri")
@click.option("--aor", default="sip:anonymous@anonymous.invalid", help="Our address, sip:USER@DOMAIN.")
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="How many requests to send.")
@click.option("--interval", type=click.FloatRange(0), default=1.0, show_default=True, help="Seconds between them.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.01),
    default=DEFAULT_TIMEOUT,
    show_default=True,
    help="Seconds to wait for each answer.",
)
@click.option(
    "--max-forwards",
    type=click.IntRange(0, 255),
    default=70,
    show_default=True,
    help="How many hops it may go; 0 asks the first proxy.",
)
@click.option("--ca-file", type=_FILE, help="PEM file of the authorities to trust.  [default: the system's]")
@click.option("--certificate", type=_FILE, help="PEM file of our certificate, for servers that ask for one.")
@click.option("--key", type=_FILE, help="PEM file of its key, if it is in another file.")
@click.option("--username", help=f"User for Digest; the password is asked for, or read from ${_PASSWORD_VARIABLE}.")
@click.option("--realm", help="Digest realm.  [default: the domain of --aor]")
@click.option("--proxy", help="SIP URI of the proxy that our requests go to.")
@_name_server
def ping(uri: str, name_servers: tuple[str, ...], **options: Any) -> None:
    """Ask URI by OPTIONS what it can do, and show who answers how fast.

    The servers of the URI's domain are tried in the order that DNS gives. Exits with 3 when nothing answers.
    """
    asked = {name: options[name] for name in ("aor", "count", "interval", "timeout", "max_forwards", "proxy")}
    settings = PingOptions(
        tls=TlsFiles(options["certificate"], options["key"], options["ca_file"]),
        credentials=_credentials(options, _check_uri(options["aor"], "--aor")),
        resolver=_resolver(name_servers),
        **asked,
    )
    console = _console()
    result = _run(run_ping(_check_uri(uri, "URI"), settings, console))
    if result.sent > 1:
        console.print(result.summary, highlight=False)
    sys.exit(0 if result.times else EXIT_NO_CALL)


def _resolver(name_servers: tuple[str, ...]) -> Resolver | None:
    try:
        return name_resolver(name_servers)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--name-server") from None
    except MissingExtraError as error:
        raise click.ClickException(str(error)) from None


def _credentials(options: dict[str, Any], aor: SipUri) -> tuple[Credentials, ...]:
    if options["proxy"] is not None:
        _check_uri(options["proxy"], "--proxy")
    if options["username"] is None:
        return ()
    password = os.environ.get(_PASSWORD_VARIABLE) or click.prompt("Password", hide_input=True, err=True)
    return (Credentials(options["realm"] or aor.host, options["username"], password),)


def _settings(options: dict[str, Any]) -> CallOptions:
    credentials = _credentials(options, _check_uri(options["aor"], "--aor"))
    return CallOptions(
        aor=options["aor"],
        policy=SecurityPolicy(MediaSecurity(options["media"]), allow_cleartext_keys=options["cleartext_keys"]),
        audio=_read_audio(options["wav_in"], None),
        host=options["host"],
        port=options["port"],
        tls=TlsFiles(options["certificate"], options["key"], options["ca_file"]),
        credentials=credentials,
        proxy=options["proxy"],
        register=options["register"],
        duration=options["duration"],
        resolver=name_resolver(),
    )


def _check_uri(text: str, hint: str) -> SipUri:
    try:
        return SipUri.parse(text)
    except SipParseError as error:
        raise click.BadParameter(f"{text!r}: {error}", param_hint=hint) from None


def _read_audio(path: Path | None, seconds: float | None) -> Samples:
    try:
        audio = shipped_melody() if path is None else read_wav(path, sample_rate=SAMPLE_RATE)
    except (UnsupportedAudioError, OSError) as error:
        raise click.BadParameter(str(error), param_hint="--wav-in") from None
    if seconds is not None:
        audio = audio[: int(seconds * SAMPLE_RATE)]
    if not audio.size:
        raise click.BadParameter("there is no audio in it", param_hint="--wav-in")
    return audio


def _write_audio(path: Path | None, heard: Samples) -> None:
    if path is None:
        return
    try:
        write_wav(path, heard, sample_rate=SAMPLE_RATE)
    except OSError as error:
        raise click.FileError(str(path), str(error)) from None


def _finish(outcome: CallOutcome, settings: CallOptions, wav_out: Path | None, console: Console) -> None:
    """Prints the report and ends the program by what it says."""
    _write_audio(wav_out, outcome.heard)
    console.print(f"{outcome.how}\n", highlight=False)
    console.print(report_table(outcome.report, "What protected the call"))
    shortfalls = outcome.report.shortfalls(settings.policy)
    for shortfall in shortfalls:
        console.print(f"[bold red]fell short[/]  {shortfall}", highlight=False)
    sys.exit(EXIT_SHORT if shortfalls else 0)


def _console() -> Console:
    """A console on stdout that writes "?" where its encoding has no character, rather than fail."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console()


def _run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Runs the work; what it fails of becomes one line on stderr and the exit code."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
    except TimeoutError:
        click.echo("error: it took too long", err=True)
    except (SecureRtcError, SipError, SdpError, RtpError, ssl.SSLError, OSError) as error:
        click.echo(f"error: {error}", err=True)
    sys.exit(EXIT_NO_CALL)


if __name__ == "__main__":
    main()
