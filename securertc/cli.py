"""The command line: `securertc demo`, `call URI`, `answer`, `register AOR`, `proxy`, `dns DOMAIN`, `ping URI`,
`mikey show BASE64`.

Exit codes: 0 all as asked; 1 a tier or the audio fell short; 2 wrong usage; 3 no call, no answer, no way there, or not
removed at the registrar.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from rtp import UnsupportedAudioError, read_wav
from sdp import MediaSecurity
from sip import Credentials, SipParseError, SipUri, TlsFileError
from sip.discovery import Resolver
from sip.transport import WebSocketSettings, raise_descriptor_limit
from sip.user_agent import is_instance, new_instance

from .assurance.security_policy import SecurityPolicy
from .commands.call import Answering, CallOptions, CallOutcome, read_users, run_answer, run_call
from .commands.display import printable, report_table, shown
from .commands.dns import run_dns
from .commands.mikey import mikey
from .commands.ping import DEFAULT_TIMEOUT, PingOptions, run_ping
from .commands.proxy import check_proxy, run_proxy
from .commands.register import RegisterOptions, run_register
from .commands.running import EXIT_NO_CALL, create_console, run_command, warn_of_exposed
from .demo.melody import SAMPLE_RATE, shipped_melody
from .demo.run import print_result, run_demo
from .errors import ConfigurationError, MissingExtraError
from .local_files import NewFile
from .media.stream import Samples
from .name_resolution import name_resolver
from .server.configuration import read_config, warning_of
from .tls_files import TlsFiles

EXIT_SHORT = 1
_PASSWORD_VARIABLE = "SECURERTC_PASSWORD"  # noqa: S105  # the name of a variable

_Command = Callable[..., None]
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_TRANSPORT = click.Choice(["tls", "tcp", "udp", "wss", "ws"], case_sensitive=False)


def _own_address(context: click.Context, parameter: click.Parameter, host: str | None) -> str | None:
    """Lets a numeric address pass that this machine has."""
    if host is None:
        return None
    try:
        version = ipaddress.ip_address(host).version
        with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except ValueError:
        raise click.BadParameter(f"{host!r} is no numeric address") from None
    except OSError:
        raise click.BadParameter(f"{host} is no address of this machine") from None
    return host


def _instance(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Lets a URN pass."""
    if text is not None and not is_instance(text):
        raise click.BadParameter(f"{text!r} is no URN, such as {new_instance()}")
    return text


_wav_in = click.option("--wav-in", type=_FILE, help="WAV file to play, instead of the tune that comes along.")
_wav_out = click.option("--wav-out", type=_NEW_FILE, help="New WAV file to write what was heard to, for us alone.")
_force = click.option("--force", is_flag=True, help="Let --wav-out replace a file.")
_name_server = click.option(
    "--name-server",
    "name_servers",
    multiple=True,
    help="ADDRESS or ADDRESS:PORT of a name server to ask; repeatable.  [default: the system's]",
)
_websocket = click.option(
    "--websocket-path",
    "websocket",
    default="/",
    show_default=True,
    callback=lambda context, parameter, path: WebSocketSettings(path="/" + path.lstrip("/")),
    help="Path to ask a WebSocket server for.",
)
_PEER_OPTIONS = (
    click.option("--host", callback=_own_address, help="Numeric address of ours, for SIP and for media."),
    click.option("--port", type=click.IntRange(0, 65535), default=0, help="Our SIP port; 0 takes any."),
    click.option("--ca-file", type=_FILE, help="PEM file of the authorities to trust.  [default: the system's]"),
    click.option("--certificate", type=_FILE, help="PEM file of our certificate, to listen on TLS."),
    click.option("--key", type=_FILE, help="PEM file of its key, if it is in another file."),
    click.option("--username", help=f"User for Digest; the password is asked for, or read from ${_PASSWORD_VARIABLE}."),
    click.option("--realm", help="Digest realm.  [default: the domain of our address]"),
    click.option(
        "--digest-host",
        "digest_hosts",
        multiple=True,
        help="Host whose Digest challenges may be answered, besides the realm, our domain and --proxy; repeatable.",
    ),
    click.option("--allow-md5", is_flag=True, help="Answer Digest challenges that offer nothing better than MD5."),
    click.option("--proxy", help="SIP URI of the proxy that our requests go to."),
    _websocket,
    click.option(
        "--instance",
        callback=_instance,
        help="URN of this device, urn:uuid:…, always the same: to register over a flow that is kept open, for NAT.",
    ),
    _name_server,
)
_CALL_OPTIONS = (
    click.option("--aor", default="sip:anonymous@anonymous.invalid", help="Our address, sip:USER@DOMAIN."),
    *_PEER_OPTIONS,
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
    _force,
)


def _call_options(command: _Command) -> _Command:
    for option in reversed(_CALL_OPTIONS):
        command = option(command)
    return command


def _peer_options(command: _Command) -> _Command:
    for option in reversed(_PEER_OPTIONS):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="securertc", prog_name="securertc")
def main() -> None:
    """Secured calls: SIP over TLS, SRTP keyed by sdescriptions, and a report of what that gives."""
    raise_descriptor_limit()


main.add_command(mikey)


@main.command()
@_wav_in
@_wav_out
@_force
@click.option("--seconds", type=click.FloatRange(min=0.1), help="Play no more than so many seconds.")
def demo(wav_in: Path | None, wav_out: Path | None, force: bool, seconds: float | None) -> None:
    """Place a secured call between two endpoints here, and check all of it.

    Makes a throw-away authority and plays audio both ways over TLS, Digest and SRTP. Exits with 1 if a tier
    gave less than was asked of it, or the audio received is not the audio sent.
    """
    console = create_console()
    audio = _read_audio(wav_in, seconds)
    heard_file = _new_file(wav_out, force)
    console.print("[bold]securertc demo[/]: one secured call, over loopback\n")
    result = run_command(run_demo(audio, console))
    _write_audio(heard_file, result.heard_by_callee)
    print_result(result, console)
    sys.exit(EXIT_SHORT if result.shortfalls else 0)


@main.command()
@click.argument("uri")
@_call_options
def call(uri: str, wav_out: Path | None, force: bool, **options: Any) -> None:
    """Call URI, play audio, and report what protected the call.

    The transport is the URI's: "sip:bob@example.com;transport=tls" or "sips:bob@example.com". The call ends
    with the audio or after --duration, when the other side hangs up, or by Ctrl-C.
    """
    settings = _settings(options)
    _check_uri(uri, "URI")
    heard_file = _new_file(wav_out, force)
    console = create_console()
    _finish(run_command(run_call(uri, settings, console)), settings, heard_file, console)


@main.command()
@click.option("--transport", type=_TRANSPORT, default="tls", show_default=True)
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
    transport: str, users: Path | None, algorithms: tuple[str, ...], wav_out: Path | None, force: bool, **options: Any
) -> None:
    """Wait for a call, answer it, play audio, and report what protected it.

    Listening on TLS needs --certificate. Ctrl-C ends the call, or the wait for one.
    """
    settings = _settings(options)
    if transport in ("tls", "wss") and settings.tls.certificate is None and not settings.register:
        raise click.UsageError("listening on TLS needs --certificate")
    try:
        known = {} if users is None else read_users(users)
    except (ValueError, OSError) as error:
        raise click.BadParameter(str(error), param_hint="--users") from None
    warn_of_exposed(users)
    heard_file = _new_file(wav_out, force)
    console = create_console()
    answering = Answering(transport, known, options["realm"], algorithms)
    _finish(run_command(run_answer(answering, settings, console)), settings, heard_file, console)


@main.command()
@click.argument("domain")
@_name_server
def dns(domain: str, name_servers: tuple[str, ...]) -> None:
    """Show what DNS says of DOMAIN, and where requests to it go.

    DOMAIN may be a SIP URI too: "sips:example.com", "sip:example.com;transport=tcp". Exits with 3 when it leads
    nowhere.
    """
    uri = _check_uri(domain if domain.lower().startswith(("sip:", "sips:")) else f"sip:{domain}", "DOMAIN")
    resolver = _resolver(name_servers)
    if resolver is None:
        raise click.ClickException(str(MissingExtraError("asking DNS", extra="dns")))
    run_command(run_dns(uri, resolver, create_console()))


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
@_websocket
def ping(uri: str, name_servers: tuple[str, ...], **options: Any) -> None:
    """Ask URI by OPTIONS what it can do, and show who answers how fast.

    The servers of the URI's domain are tried in the order that DNS gives. Exits with 3 when nothing answers.
    """
    kept = ("aor", "count", "interval", "timeout", "max_forwards", "proxy", "websocket")
    asked = {name: options[name] for name in kept}
    settings = PingOptions(
        tls=_tls_files(options),
        credentials=_credentials(options, _check_uri(options["aor"], "--aor")),
        resolver=_resolver(name_servers),
        **asked,
    )
    console = create_console()
    result = run_command(run_ping(_check_uri(uri, "URI"), settings, console))
    if result.sent > 1:
        console.print(result.summary, highlight=False)
    sys.exit(0 if result.times else EXIT_NO_CALL)


@main.command()
@click.argument("aor")
@click.option("--contact", "contacts", multiple=True, help="URI to register, instead of our own address; repeatable.")
@click.option("--expires", type=click.IntRange(1, 2**31 - 1), default=600, show_default=True, help="Seconds asked for.")
@click.option("--query", is_flag=True, help="Only show the bindings that there are.")
@click.option("--remove-all", is_flag=True, help="Remove every binding, also those of other devices.")
@click.option("--once", is_flag=True, help="Leave the binding to expire, instead of refreshing it.")
@click.option("--duration", type=click.FloatRange(min=0.1), help="Keep the binding for so many seconds.")
@_peer_options
def register(aor: str, **options: Any) -> None:
    """Register AOR at its registrar, and show what is registered.

    The transport is that of AOR, "sip:alice@example.com;transport=tls", or of --proxy. The binding is refreshed until
    Ctrl-C or for --duration, and removed then.
    """
    chosen = [name for name in ("query", "remove_all", "once") if options[name]]
    if options["instance"] and (options["contacts"] or options["query"] or options["remove_all"]):
        raise click.UsageError("--instance registers our own address, and nothing else")
    if len(chosen) > 1:
        raise click.UsageError("--query, --remove-all and --once exclude each other")
    for contact in options["contacts"]:
        _check_uri(contact, "--contact")
    kept = (
        "contacts",
        "expires",
        "query",
        "remove_all",
        "once",
        "duration",
        "host",
        "port",
        "proxy",
        "allow_md5",
        "websocket",
    )
    settings = RegisterOptions(
        aor,
        tls=_tls_files(options),
        credentials=_credentials(options, _check_uri(aor, "AOR")),
        resolver=_resolver(options["name_servers"]),
        instance=options["instance"],
        **{name: options[name] for name in kept},
    )
    run_command(run_register(settings, create_console()))


def _credentials(options: dict[str, Any], aor: SipUri) -> tuple[Credentials, ...]:
    if options["proxy"] is not None:
        _check_uri(options["proxy"], "--proxy")
    if options["username"] is None:
        return ()
    credentials = Credentials(options["realm"] or aor.host, options["username"], _password())
    return (credentials.also_for(options["digest_hosts"]),)


@main.command()
@click.option("--config", type=_FILE, required=True, help="TOML file that says what to listen on and whom to serve.")
@click.option("--check", is_flag=True, help="Only say whether the file can be used.")
@click.option("--status", is_flag=True, help="Say each minute what is going on; SIGUSR1 asks for it at any time.")
def proxy(config: Path, check: bool, status: bool) -> None:
    """Run a proxy, with a registrar, for the users of a domain, until Ctrl-C.

    docs/proxy.md describes the file.
    """
    try:
        settings = read_config(config)
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="--config") from None
    warn_of_exposed(config, *settings.secret_files)
    if check:
        try:
            check_proxy(settings)
        except (ConfigurationError, TlsFileError) as error:
            raise click.BadParameter(printable(str(error)), param_hint="--config") from None
        warning = warning_of(settings)
        if warning is not None:
            click.echo(f"warning: {warning}", err=True)
        click.echo(f"{config} can be used")
        return
    run_command(run_proxy(settings, create_console(), status=status))


def _resolver(name_servers: tuple[str, ...]) -> Resolver | None:
    try:
        return name_resolver(name_servers)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--name-server") from None
    except MissingExtraError as error:
        raise click.ClickException(str(error)) from None


def _settings(options: dict[str, Any]) -> CallOptions:
    credentials = _credentials(options, _check_uri(options["aor"], "--aor"))
    return CallOptions(
        aor=options["aor"],
        policy=SecurityPolicy(
            MediaSecurity(options["media"]),
            allow_cleartext_keys=options["cleartext_keys"],
            allow_md5=options["allow_md5"],
        ),
        audio=_read_audio(options["wav_in"], None),
        host=options["host"],
        port=options["port"],
        tls=_tls_files(options),
        credentials=credentials,
        proxy=options["proxy"],
        register=options["register"],
        duration=options["duration"],
        resolver=_resolver(options["name_servers"]),
        websocket=options["websocket"],
        instance=options["instance"],
    )


def _password() -> str:
    """From the environment, from who sits at the terminal, or else the first line of the standard input."""
    if given := os.environ.get(_PASSWORD_VARIABLE):
        return given
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, err=True))
    if line := sys.stdin.readline().rstrip("\r\n"):
        return line
    raise click.UsageError(f"--username needs a password: set {_PASSWORD_VARIABLE}")


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


def _new_file(path: Path | None, force: bool) -> NewFile | None:
    """Finds out before the call whether a file can be written after it."""
    if path is None:
        return None
    found = NewFile(path, force)
    try:
        found.check()
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--wav-out") from None
    return found


def _write_audio(file: NewFile | None, heard: Samples) -> None:
    if file is None:
        return
    try:
        file.write_audio(heard, SAMPLE_RATE)
    except OSError as error:
        raise click.FileError(str(file.path), str(error)) from None


def _finish(outcome: CallOutcome, settings: CallOptions, heard_file: NewFile | None, console: Console) -> None:
    """Prints the report and ends the program by what it says."""
    _write_audio(heard_file, outcome.heard)
    console.print(f"{shown(outcome.how)}\n", highlight=False)
    console.print(report_table(outcome.report, "What protected the call"))
    shortfalls = outcome.report.shortfalls(settings.policy)
    for shortfall in shortfalls:
        console.print(f"[bold red]fell short[/]  {shown(shortfall)}", highlight=False)
    sys.exit(EXIT_SHORT if shortfalls else 0)


def _tls_files(options: dict[str, Any]) -> TlsFiles:
    warn_of_exposed(options["key"] or options["certificate"])
    return TlsFiles(options["certificate"], options["key"], options["ca_file"])


if __name__ == "__main__":
    main()
