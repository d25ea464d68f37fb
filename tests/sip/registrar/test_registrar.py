"""The registrar's rules: RFC 3261 10.3 step by step, Path, flows, GRUUs."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sip import NameAddr, Request, SipUri, parse_message
from sip.registrar.contact import RegisterContact
from sip.registrar.gruu import TemporaryGruus
from sip.registrar.location import LocationRecord, select_bindings
from sip.registrar.location_service import LocationService
from sip.registrar.registrar import RegistrarSettings
from sip.registrar.store_memory import MemoryLocationStore
from srtp import SecretBytes

SETTINGS = RegistrarSettings(frozenset(("example.com",)), min_expires=60, max_expires=7200, max_bindings=4)
PHONE = "<sip:alice@192.0.2.1:5060>"
UUID = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
INSTANCE = f'+sip.instance="<{UUID}>"'


class Stage:
    """A location service on a clock of ours, with one REGISTER after the other."""

    def __init__(self, settings=SETTINGS, store=None):
        self.now = 1_700_000_000.0
        self.settings = settings
        self.store = store or MemoryLocationStore()
        self.cseq = 0

    async def service(self):
        return await LocationService.create(self.store, self.settings, clock=lambda: self.now)

    async def register(self, *contacts, user="alice", flow=None, **more):
        service = await self.service()
        return await service.register(self.request(*contacts, **more), user=user, flow=flow)

    def request(self, *contacts, expires=None, call_id="c1", cseq=None, uri="sip:example.com", vias=1, to=None, **more):
        self.cseq = self.cseq + 1 if cseq is None else cseq
        request = Request("REGISTER", SipUri.parse(uri))
        for number in range(vias):
            request.headers.add("Via", f"SIP/2.0/TCP 192.0.2.{number};branch=z9hG4bK{self.cseq}")
        request.headers.add("From", "<sip:alice@example.com>;tag=1")
        request.headers.add("To", to or "<sip:alice@example.com>")
        request.headers.add("Call-ID", call_id)
        request.headers.add("CSeq", f"{self.cseq} REGISTER")
        for contact in contacts:
            request.headers.add("Contact", contact)
        if expires is not None:
            request.headers.add("Expires", str(expires))
        for name, value in more.items():
            request.headers.add(name.capitalize(), value)
        return parse_message(request.serialize())

    async def located(self, uri="sip:alice@example.com"):
        return await (await self.service()).locate(SipUri.parse(uri))

    async def contacts(self):
        """What is registered, as a query tells it: URI to expires."""
        response = await self.register()
        assert response.status == 200
        return {str(one.uri): int(one.parameter("expires")) for one in response.contacts}


async def test_a_binding_comes_lives_and_expires():
    stage = Stage()
    response = await stage.register(PHONE, expires=600)
    assert (response.status, response.contacts[0].parameter("expires")) == (200, "600")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", response.headers.get("Date"))
    stage.now += 599.5
    assert await stage.contacts() == {"sip:alice@192.0.2.1:5060": 1}
    stage.now += 0.5
    assert await stage.contacts() == {}
    assert (await stage.located()).groups == ()


async def test_query_changes_nothing():
    stage = Stage()
    await stage.register(PHONE)
    before = await stage.store.load("alice@example.com")
    assert await stage.contacts() == {"sip:alice@192.0.2.1:5060": 3600}
    assert await stage.store.load("alice@example.com") == before


@pytest.mark.parametrize(
    ("parameter", "header", "granted"),
    [
        (";expires=90", "300", 90),  # the parameter goes before the header
        ("", "300", 300),
        ("", None, 3600),  # the default
        ("", "100000", 7200),  # capped
        (";expires=99999999999", None, 3600),  # malformed is 3600 (20.10)
        (";expires=x", "300", 3600),
    ],
)
async def test_what_expiry_is_granted(parameter, header, granted):
    stage = Stage()
    assert (await stage.register(PHONE + parameter, expires=header)).contacts[0].parameter("expires") == str(granted)


async def test_brief_interval_is_423_with_min_expires():
    stage = Stage()
    response = await stage.register(PHONE, "<sip:alice@192.0.2.2>;expires=59")
    assert (response.status, response.headers.get("Min-Expires")) == (423, "60")
    assert await stage.contacts() == {}
    assert (await stage.register(PHONE, expires=60)).status == 200


async def test_brief_interval_of_an_hour_and_more_is_never_423():
    stage = Stage(RegistrarSettings(frozenset(("example.com",)), min_expires=7200))
    assert (await stage.register(PHONE, expires=3600)).status == 200
    assert (await stage.register(PHONE, expires=3599)).status == 423


async def test_all_or_nothing():
    stage = Stage()
    await stage.register(PHONE, cseq=5)
    response = await stage.register("<sip:alice@192.0.2.9>", PHONE, cseq=5)
    assert response.status == 500
    assert list(await stage.contacts()) == ["sip:alice@192.0.2.1:5060"]


async def test_order_within_a_call_id():
    stage = Stage()
    assert (await stage.register(PHONE, cseq=7, expires=100)).status == 200
    for late in (7, 6):
        assert (await stage.register(PHONE, cseq=late, expires=0)).status == 500
    assert (await stage.register(PHONE, cseq=1, call_id="rebooted", expires=200)).status == 200
    assert await stage.contacts() == {"sip:alice@192.0.2.1:5060": 200}
    assert (await stage.register(PHONE, cseq=2, call_id="rebooted", expires=0)).status == 200
    assert await stage.contacts() == {}


async def test_contacts_are_compared_as_uris():
    stage = Stage()
    await stage.register("<sip:%61lice@EXAMPLE.net;transport=TCP>")
    await stage.register("<sip:alice@example.net;Transport=tcp;other=1>", expires=77)
    assert await stage.contacts() == {"sip:alice@example.net;transport=tcp;other=1": 77}
    await stage.register("<sip:Alice@example.net;transport=tcp>", expires=78)
    assert len(await stage.contacts()) == 2


async def test_wildcard_removes_all():
    stage = Stage()
    await stage.register(PHONE, "<sip:alice@192.0.2.2>")
    await stage.register("<sip:alice@192.0.2.3>", call_id="other")
    assert (await stage.register("*", expires=0, call_id="third")).status == 200
    assert await stage.contacts() == {}
    assert await stage.store.load("alice@example.com") == LocationRecord("alice@example.com")


async def test_wildcard_out_of_order_removes_nothing():
    stage = Stage()
    await stage.register(PHONE, cseq=9)
    await stage.register("<sip:alice@192.0.2.2>", call_id="other", cseq=1)
    assert (await stage.register("*", expires=0, cseq=9)).status == 500
    assert len(await stage.contacts()) == 2


@pytest.mark.parametrize("expires", [None, 60])
async def test_wildcard_needs_expires_zero(expires):
    stage = Stage()
    await stage.register(PHONE)
    assert (await stage.register("*", expires=expires)).status == 400
    assert len(await stage.contacts()) == 1


async def test_parameters_and_q_come_back_and_order_the_targets():
    stage = Stage()
    await stage.register('<sip:a@192.0.2.1>;q=0.25;audio;methods="INVITE,BYE"', "<sip:b@192.0.2.2>", "<sip:c@x>;q=1.0")
    row = (await stage.register()).headers.get("Contact")
    assert row == '<sip:a@192.0.2.1>;audio;methods="INVITE,BYE";q=0.25;expires=3600'
    located = await stage.located()
    assert [[one.uri.user for one in group] for group in located.groups] == [["b", "c"], ["a"]]


@pytest.mark.parametrize("bad", [";q=1.1", ";q=-1", ";q=0.1234", ";q=x", ';+sip.instance="x"', f";{INSTANCE};reg-id=0"])
async def test_malformed_contact_parameters_are_400(bad):
    stage = Stage()
    assert (await stage.register(PHONE + bad)).status == 400
    assert await stage.contacts() == {}


async def test_who_may_register_what():
    stage = Stage()
    assert (await stage.register(PHONE, user="bob")).status == 403
    assert (await stage.register(PHONE, user=None)).status == 403
    assert (await stage.register(PHONE, user="alice@example.com")).status == 200
    assert (await stage.register(PHONE, uri="sip:other.example")).status == 404
    assert (await stage.register(PHONE, to="<sip:alice@other.example>")).status == 404
    assert (await stage.register(PHONE, to="<tel:+1201555>")).status == 400
    response = await stage.register(PHONE, require="gruu, x-new")
    assert (response.status, response.headers.get("Unsupported")) == (420, "x-new")


async def test_too_many_contacts():
    stage = Stage()
    assert (await stage.register(*(f"<sip:a@192.0.2.{n}>" for n in range(5)))).status == 403
    assert (await stage.register(*(f"<sip:a@192.0.2.{n}>" for n in range(4)))).status == 200
    assert (await stage.register("<sip:a@192.0.2.9>")).status == 403


@pytest.mark.parametrize(
    "uri",
    ["sip:alice@example.com", "sips:alice@example.com", "sip:alice@example.com;gr=x", "sip:tgruu.x@example.com;gr"],
)
async def test_contact_that_leads_back_is_403(uri):
    assert (await Stage().register(f"<{uri}>")).status == 403


async def test_address_of_record_is_one_for_sip_and_sips_and_any_spelling():
    stage = Stage()
    await stage.register(PHONE, to="<sip:%61lice@EXAMPLE.com;user=phone>")
    assert len((await stage.located("sips:alice@example.com")).groups) == 0  # no sips contact
    assert len((await stage.located("sip:alice@Example.com:5060;x=y")).groups) == 1


async def test_sips_contact_needs_sips_all_the_way():
    stage = Stage()
    sips = "<sips:alice@192.0.2.1>"
    assert (await stage.register(sips)).status == 400
    more = {"supported": "path", "path": "<sip:edge.example.com;lr>"}
    assert (await stage.register(sips, uri="sips:example.com", vias=2, **more)).status == 400
    assert (await stage.register(PHONE.replace("5060", "5061"))).status == 200
    assert (await stage.register(sips.replace("1>", "1:5061>"), uri="sips:example.com")).status == 200
    # RFC 5630 5.1.1.1: the sips version took the place of the sip one.
    assert await stage.contacts() == {"sips:alice@192.0.2.1:5061": 3600}
    assert len((await stage.located("sips:alice@example.com")).groups) == 1


async def test_path_is_kept_and_comes_back():
    stage = Stage()
    path = "<sip:inner.example.com;lr>, <sip:edge.example.com;lr;ob>"
    refused = await stage.register(PHONE, path=path)
    assert (refused.status, refused.headers.get("Unsupported")) == (420, "path")
    response = await stage.register(PHONE, path=path, supported="path", vias=3)
    assert response.headers.get_all("Path") == [path]
    binding = (await stage.located()).groups[0][0]
    assert binding.path == ("<sip:inner.example.com;lr>", "<sip:edge.example.com;lr;ob>")


class TestFlows:
    """RFC 5626 6."""

    async def test_flow_takes_the_place_of_the_same_flow_whatever_its_uri(self):
        stage = Stage()
        flow = f";{INSTANCE};reg-id=1"
        first = await stage.register(f"<sip:alice@192.0.2.1>{flow}", supported="outbound", flow="f1")
        assert first.headers.get("Require") == "outbound"
        await stage.register(f"<sip:alice@192.0.2.2>{flow}", supported="outbound", flow="f2", call_id="c2")
        await stage.register(
            f"<sip:alice@192.0.2.3>;{INSTANCE};reg-id=2", supported="outbound", flow="f3", call_id="c2"
        )
        assert list(await stage.contacts()) == ["sip:alice@192.0.2.2", "sip:alice@192.0.2.3"]
        located = await stage.located()
        # One of the instance at a time; the other when its flow fails.
        assert [[one.flow for one in group] for group in located.groups] in ([["f2"]], [["f3"]])
        assert len(located.alternatives[UUID]) == 1

    async def test_without_outbound_supported_nothing_is_required(self):
        response = await Stage().register(f"<sip:alice@192.0.2.1>;{INSTANCE};reg-id=1")
        assert response.status == 200
        assert "Require" not in response.headers

    async def test_first_hop_without_outbound_is_439(self):
        stage = Stage()
        contact = f"<sip:alice@192.0.2.1>;{INSTANCE};reg-id=1"
        path = {"path": "<sip:edge.example.com;lr>", "vias": 2}
        assert (await stage.register(contact, supported="outbound, path", **path)).status == 439
        ignored = await stage.register(contact, supported="path", **path)
        assert (ignored.status, ignored.contacts[0].parameter("reg-id")) == (200, None)
        path["path"] = "<sip:inner.example.com;lr>, <sip:edge.example.com;lr;ob>"
        applied = await stage.register(contact, supported="outbound, path", **path)
        assert (applied.status, applied.headers.get("Require")) == (200, "outbound")

    async def test_flow_is_registered_alone(self):
        contact = f"<sip:alice@192.0.2.1>;{INSTANCE};reg-id=1"
        stage = Stage()
        assert (await stage.register(contact, "<sip:alice@192.0.2.2>", supported="outbound")).status == 400
        assert (await stage.register(contact, "<sip:alice@192.0.2.2>;expires=0", supported="outbound")).status == 200

    async def test_reg_id_without_instance_is_ignored(self):
        response = await Stage().register("<sip:alice@192.0.2.1>;reg-id=1", supported="outbound")
        assert (response.status, response.contacts[0].parameter("reg-id")) == (200, None)

    async def test_flow_token_is_kept_only_of_a_direct_connection(self):
        stage = Stage()
        await stage.register(PHONE, flow="f", vias=2)
        assert (await stage.located()).groups[0][0].flow is None
        await stage.register(PHONE, flow="f")
        assert (await stage.located()).groups[0][0].flow == "f"


class TestGruus:
    """RFC 5627."""

    CONTACT = f"<sip:alice@192.0.2.1>;{INSTANCE}"

    async def gruus(self, stage, **more):
        response = await stage.register(self.CONTACT, supported="gruu", **more)
        assert response.status == 200
        return tuple(response.contacts[-1].parameter(name) for name in ("pub-gruu", "temp-gruu"))

    async def test_public_and_temporary_lead_to_the_instance_only(self):
        stage = Stage()
        await stage.register("<sip:alice@192.0.2.2>", call_id="other")
        public, temporary = await self.gruus(stage)
        assert public == f"sip:alice@example.com;gr={UUID}"
        assert re.fullmatch(r"sip:tgruu\.[\w\-]{48}@example\.com;gr", temporary)
        for gruu in (public, temporary):
            located = await stage.located(gruu)
            assert located.aor == "alice@example.com"
            assert [[one.contact for one in group] for group in located.groups] == [["sip:alice@192.0.2.1"]]
        assert len((await stage.located()).groups[0]) == 2

    async def test_only_for_those_who_understand(self):
        response = await Stage().register(self.CONTACT)
        assert response.contacts[0].parameter("pub-gruu") is None

    async def test_refresh_adds_a_temporary_one_and_a_new_call_id_ends_them(self):
        stage = Stage()
        _, first = await self.gruus(stage)
        _, second = await self.gruus(stage)
        assert first != second
        assert await stage.located(first)
        assert await stage.located(second)
        public, third = await self.gruus(stage, call_id="c2")
        assert await stage.located(first) is None
        assert await stage.located(second) is None
        assert await stage.located(third)
        assert await stage.located(public)

    async def test_end_of_the_last_contact(self):
        stage = Stage()
        public, temporary = await self.gruus(stage)
        await stage.register(self.CONTACT, expires=0)
        assert (await stage.located(public)).groups == ()  # 480
        assert await stage.located(temporary) is None  # 404
        _, again = await self.gruus(stage)
        assert await stage.located(temporary) is None
        stage.now += 3600
        assert await stage.located(again) is None

    async def test_forged_and_foreign_gruus_lead_nowhere(self):
        stage = Stage()
        _, temporary = await self.gruus(stage)
        user = SipUri.parse(temporary).user
        swapped = "A" if user[-1] != "A" else "B"
        for bad in (user[:-1] + swapped, user[:-4], "tgruu.", "tgruu.%00", "alice"):
            assert await stage.located(f"sip:{bad}@example.com;gr") is None
        foreign = TemporaryGruus(SecretBytes(bytes(32))).create(1, "example.com")
        assert await stage.located(str(foreign)) is None

    async def test_scheme_follows_the_contact(self):
        stage = Stage()
        contact = f"<sips:alice@192.0.2.1>;{INSTANCE}"
        response = await stage.register(contact, supported="gruu", uri="sips:example.com")
        found = response.contacts[0]
        assert found.parameter("pub-gruu").startswith("sips:alice@")
        assert found.parameter("temp-gruu").startswith("sips:tgruu.")

    async def test_contact_of_an_instance_must_be_sip(self):
        stage = Stage()
        assert (await stage.register(f"<tel:+1201555>;{INSTANCE}")).status == 403
        assert (await stage.register("<mailto:alice@example.com>")).status == 200
        assert (await stage.located()).groups == ()  # nothing to send SIP to

    async def test_user_agent_cannot_choose_its_gruu(self):
        response = await Stage().register(self.CONTACT + ';pub-gruu="sip:bob@example.com;gr=1"', supported="gruu")
        assert response.contacts[0].parameter("pub-gruu") == f"sip:alice@example.com;gr={UUID}"

    async def test_rebooted_instance_leaves_the_latest_contact_first(self):
        stage = Stage()
        await stage.register(self.CONTACT)
        stage.now += 10
        await stage.register(f"<sip:alice@192.0.2.7>;{INSTANCE}", call_id="rebooted")
        located = await stage.located(f"sip:alice@example.com;gr={UUID}")
        assert [[one.contact for one in group] for group in located.groups] == [["sip:alice@192.0.2.7"]]
        assert [one.contact for one in located.alternatives[UUID]] == ["sip:alice@192.0.2.1"]


async def test_busy_record_is_tried_again_and_given_up_in_the_end():
    class Contended(MemoryLocationStore):
        losses = 3

        async def save(self, record):
            self.losses -= 1
            return self.losses < 0 and await super().save(record)

    stage = Stage(store=Contended())
    assert (await stage.register(PHONE)).status == 200
    stage.store.losses = 1000
    response = await stage.register(PHONE)
    assert (response.status, response.headers.get("Retry-After")) == (503, "1")


async def test_store_that_fails_is_a_500():
    from sip.errors import LocationStoreError

    class Broken(MemoryLocationStore):
        async def save(self, record):
            raise LocationStoreError("disk full")

    assert (await Stage(store=Broken()).register(PHONE)).status == 500


@pytest.mark.parametrize(("name", "status", "kept"), [
    ("cparam01", 200, "<sip:+19725552222@gw1.example.net>;unknownparam;expires=3600"),
    ("cparam02", 200, "<sip:+19725552222@gw1.example.net;unknownparam>;expires=3600"),
    ("regescrt", 200, "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>;expires=3600"),
    ("unksm2", 400, None),
])  # fmt: skip
async def test_rfc4475_registers(shared_vectors, name, status, kept):
    request = parse_message((shared_vectors / "rfc4475" / f"{name}.dat").read_bytes())
    service = await Stage().service()
    user = getattr(request.to.uri, "user", None)
    response = await service.register(request, user=user)
    assert (response.status, response.headers.get("Contact")) == (status, kept)


def test_binding_survives_json():
    request = Stage().request(f'<sip:a@192.0.2.1>;{INSTANCE};q=0.5;x="ä"')
    wanted = RegisterContact.of(NameAddr.parse(request.headers.get("Contact")), request, flows=True)
    assert (wanted.q, wanted.instance, wanted.parameters) == (500, UUID, (("x", '"ä"'),))
    assert select_bindings(LocationRecord("a"), 0.0).groups == ()


async def test_overlong_contact_is_refused_before_it_is_kept():
    stage = Stage()
    assert (await stage.register(f"<sip:alice@192.0.2.1;x={'y' * 4000}>;z={'y' * 4500}")).status == 403
    assert (await stage.register(f"<sip:alice@192.0.2.1;x={'y' * 3000}>")).status == 200


async def test_users_of_other_bytes_are_others():
    """A NUL or an escape in the user part leads to nobody else's bindings."""
    stage = Stage()
    await stage.register(PHONE)
    for user in ("alice%00", "al%69ce%40example.com", "ALICE"):
        assert (await stage.located(f"sip:{user}@example.com")).groups == ()
        assert (await stage.register(PHONE, to=f"<sip:{user}@example.com>")).status == 403
    assert len((await stage.located("sip:al%69ce@example.com")).groups) == 1


async def test_dead_records_are_swept_out():
    stage = Stage()
    service = await stage.service()
    await service.register(stage.request(PHONE, expires=60), user="alice")
    await asyncio.sleep(0)
    stage.now += 400
    await service.register(stage.request(to="<sip:bob@example.com>"), user="bob")
    await asyncio.sleep(0)  # nobody's REGISTER waits for that
    assert await stage.store.load("alice@example.com") == LocationRecord("alice@example.com")


class RegistrarMachine(RuleBasedStateMachine):
    """REGISTERs of two devices in any order, against RFC 3261 10.3 in a few lines."""

    CONTACTS = ("sip:a@192.0.2.1", "sip:b@192.0.2.2", "sip:c@192.0.2.3")

    def __init__(self):
        super().__init__()
        self.stage = Stage()
        self.expected = {}

    def alive(self):
        return {uri: held for uri, held in self.expected.items() if held[0] > self.stage.now}

    def send(self, *contacts, **more):
        return asyncio.run(self.stage.register(*contacts, **more)).status

    @rule(
        contacts=st.lists(st.sampled_from(CONTACTS), min_size=1, max_size=3, unique=True),
        expires=st.sampled_from([0, 30, 60, 600, 100_000]),
        call_id=st.sampled_from(["one", "two"]),
        cseq=st.integers(1, 6),
    )
    def register(self, contacts, expires, call_id, cseq):
        held = self.alive()
        late = any(uri in held and held[uri][1] == call_id and cseq <= held[uri][2] for uri in contacts)
        rows = [f"<{uri}>" for uri in contacts]
        status = self.send(*rows, expires=expires, call_id=call_id, cseq=cseq)
        if late or expires == 30:
            assert status in (500, 423)
            return
        assert status == 200
        self.expected = {uri: one for uri, one in held.items() if uri not in contacts}
        if expires:
            made = (self.stage.now + min(expires, 7200), call_id, cseq)
            self.expected.update(dict.fromkeys(contacts, made))

    @rule(call_id=st.sampled_from(["one", "two"]), cseq=st.integers(1, 6))
    def remove_all(self, call_id, cseq):
        late = any(held[1] == call_id and cseq <= held[2] for held in self.alive().values())
        assert self.send("*", expires=0, call_id=call_id, cseq=cseq) == (500 if late else 200)
        if not late:
            self.expected = {}

    @rule(seconds=st.sampled_from([1, 59, 60, 599, 7200]))
    def wait(self, seconds):
        self.stage.now += seconds

    @invariant()
    def bindings_are_as_expected(self):
        found = asyncio.run(self.stage.contacts())
        assert found == {uri: round(held[0] - self.stage.now) for uri, held in self.alive().items()}
        groups = asyncio.run(self.stage.located()).groups
        assert {one.contact for group in groups for one in group} == set(found)


TestRegistrarMachine = RegistrarMachine.TestCase
TestRegistrarMachine.settings = hypothesis_settings(max_examples=60, stateful_step_count=25, deadline=None)
