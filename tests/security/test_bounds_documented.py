"""The bounds that docs/security.md lists are those that hold: each is in its file, by its name and with its number."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from securertc import EndpointSettings
from sip import LoadLimits, RegistrarSettings
from sip.digest.guess_limit import GuessLimit
from sip.message.parser import Limits
from sip.registrar.location_service import STORE_TIMEOUT
from sip.transaction.load_limits import USER_AGENT_LIMITS
from srtp import Policy, Profile

ROOT = Path(__file__).resolve().parents[2]
SECTION = (ROOT / "docs/security.md").read_text().partition("\n## Bounds\n")[2].partition("\n## ")[0]


def rows() -> list[tuple[str, str, str, str]]:
    found: list[tuple[str, str, str, str]] = []
    for line in SECTION.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[1] not in ("", "number", "---"):
            file = found[-1][3] if cells[3] == "the same" else cells[3].strip("`")
            found.append((cells[0], cells[1], cells[2], file))
    return found


ROWS = rows()
CONSTANTS = [
    (name, number, file)
    for _, number, setting, file in ROWS
    for name in re.findall(r"`([A-Z_]+)`", setting)
    if file.endswith(".py")
]


def written(value: float) -> set[str]:
    """How a number may stand in the table."""
    shown = {f"{value:,g}" if value < 1e6 else f"{int(value):,}"}
    for unit, size in (("K", 1 << 10), ("M", 1 << 20)):
        if value >= size and value % size == 0:
            shown.add(f"{int(value) // size} {unit}")
    if value == 3600:
        shown.add("1 hour")
    return shown


def test_the_table_is_read() -> None:
    assert len(ROWS) > 50
    assert len(CONSTANTS) > 20


@pytest.mark.parametrize(("what", "number", "setting", "file"), [row for row in ROWS if row[3]])
def test_names_are_in_their_files(what: str, number: str, setting: str, file: str) -> None:
    source = (ROOT / file).read_text()
    for name in re.findall(r"`([^`]+)`", setting):
        assert re.findall(r"\w+", name)[-1] in source, (what, name)


@pytest.mark.parametrize(("name", "number", "file"), CONSTANTS, ids=[f"{one[2]}:{one[0]}" for one in CONSTANTS])
def test_constants_have_the_numbers(name: str, number: str, file: str) -> None:
    value = getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), name)
    assert any(re.search(rf"(?<![\d,.]){re.escape(one)}(?![\d,.]*\d)", number) for one in written(value)), value


def number_of(what: str, after: str = "") -> str:
    """The number of a row, the first of its name behind the row `after`."""
    names = [row[0] for row in ROWS]
    return ROWS[names.index(what, names.index(after) if after else 0)][1]


def test_settings_have_the_numbers_by_default() -> None:
    proxy, agent = LoadLimits(), USER_AGENT_LIMITS
    endpoint = EndpointSettings("sip:bob@example.com")
    mega = 1 << 20
    assert number_of("SSRCs that a peer brings, each direction").startswith("1,024,")
    assert Policy(Profile.AEAD_AES_128_GCM, bytes(16), bytes(12)).max_streams == 1024
    assert number_of("in all") == f"{proxy.transactions:,}; {agent.transactions:,}"
    assert number_of("of one source") == f"{proxy.source_transactions:,}; {agent.source_transactions:,}"
    shown = f"{proxy.transaction_bytes // mega} M; {agent.transaction_bytes // mega} M"
    assert number_of("bytes of messages, in all") == shown
    shown = f"{proxy.source_transaction_bytes // mega} M; {agent.source_transaction_bytes // mega} M"
    assert number_of("bytes of messages, of one source") == shown
    assert number_of("new requests are shed from") == f"{proxy.shed_at} of each"
    later = "new requests are shed from"
    assert number_of("in all", later) == f"{proxy.connections:,}; {agent.connections:,}"
    assert number_of("of one source", later) == f"{proxy.source_connections:,}"
    assert proxy.source_connections == agent.source_connections
    shown = f"{proxy.connection_bytes // mega} M; {agent.connection_bytes // mega} M"
    assert number_of("bytes unread or not all there, in all") == shown
    assert number_of("the same of one source") == f"{proxy.source_connection_bytes // mega} M"
    assert proxy.source_connection_bytes == agent.source_connection_bytes
    assert number_of("the first whole message") == f"{proxy.first_message:g} s"
    assert number_of("calls of an endpoint").startswith(f"{endpoint.max_calls:,},")
    assert number_of("unanswered calls of one source").startswith(f"{endpoint.source_unanswered},")
    assert number_of("an unanswered call") == f"{endpoint.answer_timeout:g} s"
    assert number_of("contacts of an address") == str(RegistrarSettings(frozenset()).max_bindings)
    assert number_of("a REGISTER or look-up waits").startswith(f"{STORE_TIMEOUT:g} s")
    limits = Limits()
    assert (limits.header_bytes, limits.body_bytes, limits.rows, limits.row_bytes) == (65535, 65535, 256, 16384)
    assert number_of("header part; body") == "64 K each"
    assert number_of("header fields; one of them") == "256; 16 K"
    defaults = GuessLimit.__init__.__kwdefaults__
    for rate, what in (("pair", "for (account, source)"), ("source", "of a source"), ("account", "for an account")):
        free, interval = defaults[rate].burst, defaults[rate].period
        every = "second" if interval == 1 else f"{interval:g} s"
        assert number_of(f"wrong answers {what}") == f"{free}, then 1 each {every}"
