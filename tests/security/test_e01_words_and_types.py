"""Settings and values take words for members of enums and refuse all that is none, so that no mistake means less."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rtp import RtpPacket
from sdp import (
    AudioNegotiation,
    BundlePolicy,
    Direction,
    KeyingResult,
    KeyingState,
    LocalMedia,
    MediaSecurity,
    Sdescriptions,
    SessionNegotiation,
)
from sdp.dtls import DtlsCertificate, DtlsConnection, DtlsSrtp, Fingerprint, SetupRole
from sdp.dtls.protection_profiles import keying_material_length, policies_from
from sdp.dtls.setup_role import role_from_answer, role_to_answer
from sdp.errors import DtlsError
from sdp.mikey import KeyMgmtAttribute, Mode, Proposal
from sdp.mikey.code_points import EncryptionAlgorithm
from sdp.mikey.exchange import MikeyProfile
from sdp.mikey.keying import MikeyKeying
from securertc import Credentials, Endpoint, EndpointSettings, SecurityPolicy, TlsFiles
from securertc.server.service import ProxyService
from sip import DigestClient, DigestServer, LoadLimits, SipUri, Timers, WebSocketSettings, verify_identity
from sip.digest.stored_secrets import DigestSecrets
from srtp import Cryptex, MasterKey, Policy, PolicyError, Profile, SecretBytes, Session
from srtp import Direction as SrtpDirection

PACKAGES = ("srtp", "rtp", "sdp", "sip", "securertc", "sdp.dtls", "sdp.mikey")
WORDS_OF_NOBODY = ("no such word", "", "0", "off?", "none of these")
KEY, SALT = bytes(16), bytes(14)


def exported_values() -> Iterator[type]:
    for name in PACKAGES:
        package = importlib.import_module(name)
        for exported in package.__all__:
            found = getattr(package, exported)
            if isinstance(found, type) and dataclasses.is_dataclass(found) and found.__dataclass_params__.frozen:  # type: ignore[attr-defined]
                yield found


def choices(hint: Any) -> type | None:
    """The enum or bool that a field of this annotation holds one of, or many of."""
    if isinstance(hint, type) and (hint is bool or issubclass(hint, enum.Enum)):
        return hint
    return next((found for part in typing.get_args(hint) if (found := choices(part)) is not None), None)


def fields_with_choices() -> list[tuple[type, str, Any]]:
    found = []
    for kind in dict.fromkeys(exported_values()):
        hints = typing.get_type_hints(kind)
        found += [(kind, one.name, hints[one.name]) for one in dataclasses.fields(kind) if choices(hints[one.name])]
    return found


def made_with(kind: type, name: str, value: object) -> Any:
    """An instance that skips nothing but the other fields' values: those are whatever their kind may hold."""
    made = object.__new__(kind)
    for one in dataclasses.fields(kind):
        object.__setattr__(made, one.name, sample(one, kind))
    object.__setattr__(made, name, value)
    made.__post_init__()
    return made


POLICY = Policy(Profile.AES_CM_128_HMAC_SHA1_80, KEY, SALT)
BY_NAME: dict[str, object] = {"master_key": KEY, "master_salt": SALT}
BY_KIND: dict[Any, object] = {int: 1, str: "x", bytes: b"", bool: False, float: 1.0, SecretBytes: SecretBytes(KEY)}


def sample(one: dataclasses.Field[Any], kind: type) -> object:
    if issubclass(kind, KeyingResult) and one.name in ("outbound", "inbound"):
        return POLICY
    if issubclass(kind, KeyingResult) and one.name == "state":
        return KeyingState.KEYED
    if one.name in BY_NAME:
        return BY_NAME[one.name]
    if one.default is not dataclasses.MISSING:
        return one.default
    if one.default_factory is not dataclasses.MISSING:
        return one.default_factory()
    return sample_of(typing.get_type_hints(kind)[one.name])


def sample_of(hint: Any) -> object:
    if hint in BY_KIND:
        return BY_KIND[hint]
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple and ... not in arguments:
        return tuple(map(sample_of, arguments))
    if typing.get_origin(hint) in (tuple, frozenset):
        return typing.get_origin(hint)()
    if arguments:
        return None if type(None) in arguments else sample_of(arguments[0])
    return next(iter(hint)) if issubclass(hint, enum.Enum) else object.__new__(hint)


def wrong_values(hint: Any) -> list[object]:
    """What must not pass for a choice: words of nobody, other types, and of many a single string."""
    several = typing.get_origin(hint) in (tuple, frozenset)
    alone: list[object] = [*WORDS_OF_NOBODY, 5.5, b"yes", [], object()]
    if choices(hint) is bool:
        alone += ["no", "yes", "true", "False", 0, 1, None]
    if not several:
        return alone if type(None) in typing.get_args(hint) else [*alone, None]
    return ["word", None, 3, *((one,) for one in alone)]


FIELDS = fields_with_choices()
NAMED = [f"{kind.__module__}.{kind.__name__}.{name}" for kind, name, _ in FIELDS]


def test_there_are_fields_to_look_at() -> None:
    assert len(FIELDS) > 45


@pytest.mark.parametrize(("kind", "name", "hint"), FIELDS, ids=NAMED)
def test_a_choice_is_made_or_refused(kind: type, name: str, hint: Any) -> None:
    """Every word of an enum counts as its member, in any case; whatever else is refused by the field's name."""
    for wrong in wrong_values(hint):
        with pytest.raises(ValueError, match=name):
            made_with(kind, name, wrong)


@pytest.mark.parametrize(("kind", "name", "hint"), FIELDS, ids=NAMED)
def test_words_become_members(kind: type, name: str, hint: Any) -> None:
    wanted = choices(hint)
    if wanted is bool or wanted is None:
        return
    several = typing.get_origin(hint) in (tuple, frozenset)
    taken = 0
    for member in wanted:  # type: ignore[attr-defined]
        words = [member.name, member.name.lower(), *([member.value.upper()] if isinstance(member.value, str) else [])]
        for word in words:
            try:
                expected = getattr(made_with(kind, name, (member,) if several else member), name)
            except (ValueError, DtlsError):  # a member that does not fit the other fields
                continue
            assert getattr(made_with(kind, name, (word,) if several else word), name) == expected
            taken += 1
    assert taken


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SecurityPolicy(media="requierd"), "off, preferred, required"),  # type: ignore[arg-type]
        (lambda: LocalMedia("192.0.2.1", 4000, security="must"), "off, preferred, required"),  # type: ignore[arg-type]
        (lambda: LocalMedia("192.0.2.1", 4000, direction="both"), "sendrecv, sendonly, recvonly, inactive"),  # type: ignore[arg-type]
        (lambda: Policy("AES", KEY, SALT), "AES_CM_128_HMAC_SHA1_80, "),  # type: ignore[arg-type]
        (lambda: Policy(Profile.AES_CM_128_HMAC_SHA1_80, KEY, SALT, cryptex="must"), "OFF, ON, REQUIRED"),  # type: ignore[arg-type]
        (lambda: SecurityPolicy(crypto_suites=("AES_CM_128_HMAC_SHA1_08",)), "AES_CM_128_HMAC_SHA1_80, "),
        (lambda: LocalMedia("192.0.2.1", 4000, crypto_suites=("AES",)), "AES_CM_128_HMAC_SHA1_80, "),
        (lambda: Sdescriptions(("AES",)), "AES_CM_128_HMAC_SHA1_80, "),
        (lambda: Sdescriptions(allowed_flags=frozenset(("UNENCRYPTED",))), "UNENCRYPTED_SRTCP, UNENCRYPTED_SRTP"),
        (lambda: DtlsSrtp(DtlsCertificate.generate(), preferred_role="client"), "active, passive, actpass"),  # type: ignore[arg-type]
        (lambda: DigestServer("x", lambda *_: None, clock=lambda: 0.0, algorithms=("SHA",)), "SHA-512-256, SHA-256"),
        (lambda: DigestClient(algorithms=("SHA1",)), "SHA-512-256, SHA-256"),
        (lambda: SessionNegotiation((), bundle="always"), "off, "),  # type: ignore[arg-type]
    ],
)
def test_an_unknown_word_lists_the_words(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def offered_protocol(media: LocalMedia) -> str:
    return next(line for line in AudioNegotiation(media).create_offer().splitlines() if line.startswith("m="))


@pytest.mark.parametrize("word", ["required", "REQUIRED", "Required"])
def test_a_word_asks_for_what_it_says(word: Any) -> None:
    assert SecurityPolicy(media=word).media is MediaSecurity.REQUIRED
    assert "RTP/SAVP" in offered_protocol(LocalMedia("192.0.2.1", 4000, security=word))


def test_a_held_stream_in_words() -> None:
    offer = AudioNegotiation(LocalMedia("192.0.2.1", 4000, direction="inactive")).create_offer()  # type: ignore[arg-type]
    assert "a=inactive" in offer
    assert Direction.SENDRECV.intersect("sendonly") is Direction.SENDONLY  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sendrecv, sendonly"):
        Direction.SENDRECV.intersect("send")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda: SecurityPolicy(crypto_suites="AES_CM_128_HMAC_SHA1_80"),  # type: ignore[arg-type]
        lambda: SecurityPolicy(keying=("dtls-srtp",)),  # type: ignore[arg-type]
        lambda: SecurityPolicy(keying="mikey"),  # type: ignore[arg-type]
        lambda: EndpointSettings("sip:a@b", credentials=Credentials("r", "u", "p")),  # type: ignore[arg-type]
        lambda: EndpointSettings("sip:a@b", policy="required"),  # type: ignore[arg-type]
        lambda: EndpointSettings("sip:a@b", users=("alice", "secret")),  # type: ignore[arg-type]
        lambda: EndpointSettings("sip:a@b", media_timeout="never"),  # type: ignore[arg-type]
        lambda: EndpointSettings("sip:a@b", max_calls=True),
        lambda: EndpointSettings("sip:a@b", answer_timeout=float("nan")),
        lambda: EndpointSettings("sip:a@b", limits=10),  # type: ignore[arg-type]
        lambda: LoadLimits(transactions="all"),  # type: ignore[arg-type]
        lambda: WebSocketSettings(origins="https://example.com"),  # type: ignore[arg-type]
        lambda: TlsFiles(certificate=5),  # type: ignore[arg-type]
        lambda: LocalMedia("192.0.2.1", "4000"),  # type: ignore[arg-type]
        lambda: LocalMedia("192.0.2.1", 4000, codecs=("PCMU",)),  # type: ignore[arg-type]
        lambda: KeyMgmtAttribute("mikey", "bm90IGJ5dGVz"),  # type: ignore[arg-type]
        lambda: MikeyProfile(modes="psk"),  # type: ignore[arg-type]
    ],
)
def test_other_types_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()


def test_a_secret_in_the_wrong_place_is_not_shown() -> None:
    for make in (
        lambda: EndpointSettings("sip:a@b", credentials=("hunter2",)),  # type: ignore[arg-type]
        lambda: EndpointSettings("sip:a@b", users="hunter2"),  # type: ignore[arg-type]
        lambda: EndpointSettings("sip:a@b", users={"alice": b"hunter2"}),  # type: ignore[dict-item]
        lambda: MasterKey("hunter2", SALT),  # type: ignore[arg-type]
    ):
        with pytest.raises((ValueError, TypeError)) as caught:
            make()
        assert "hunter2" not in str(caught.value)


def test_keys_in_text_are_told_how_to_be_bytes() -> None:
    for make in (
        lambda: MasterKey("00" * 16, SALT),  # type: ignore[arg-type]
        lambda: Policy(Profile.AES_CM_128_HMAC_SHA1_80, "00" * 16, SALT),  # type: ignore[arg-type]
        lambda: Policy(Profile.AES_CM_128_HMAC_SHA1_80, KEY, "00" * 14),  # type: ignore[arg-type]
        lambda: Policy(Profile.AES_CM_128_HMAC_SHA1_80, KEY, SALT, mki="01"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=r"is a str, it must be bytes, as of bytes\.fromhex\(\)"):
            make()


# Arguments of functions.


@pytest.mark.parametrize(("word", "role"), [("active", SetupRole.ACTIVE), ("PASSIVE", SetupRole.PASSIVE)])
def test_setup_roles_in_words(word: Any, role: SetupRole) -> None:
    assert role_to_answer("actpass", word) is role  # type: ignore[arg-type]
    assert role_from_answer(word) is role.opposite
    profile = Profile.AES_CM_128_HMAC_SHA1_80
    material = bytes(range(keying_material_length(profile)))
    assert policies_from("aes_cm_128_hmac_sha1_80", material, word) == policies_from(profile, material, role)  # type: ignore[arg-type]
    certificate, other = DtlsCertificate.generate(), DtlsCertificate.generate()
    fingerprints = (Fingerprint.of(other.der),) if hasattr(Fingerprint, "of") else other.fingerprints(("sha-256",))
    assert DtlsConnection(certificate, word, fingerprints).role is role


@pytest.mark.parametrize(
    "use",
    [
        lambda: role_to_answer("holdcon"),  # type: ignore[arg-type]
        lambda: role_to_answer(SetupRole.ACTPASS, "client"),  # type: ignore[arg-type]
        lambda: role_from_answer("server"),  # type: ignore[arg-type]
        lambda: policies_from(Profile.AES_CM_128_HMAC_SHA1_80, bytes(60), "client"),  # type: ignore[arg-type]
        lambda: DtlsConnection(DtlsCertificate.generate(), "client", ()),  # type: ignore[arg-type]
        lambda: SessionNegotiation((), repeat_transport="no"),  # type: ignore[arg-type]
        lambda: DigestClient(require_proof="no"),  # type: ignore[arg-type]
        lambda: DigestServer("x", lambda *_: None, clock=lambda: 0.0, one_time="no"),  # type: ignore[arg-type]
        lambda: ProxyService(frozenset(), relay="no"),  # type: ignore[arg-type]
        lambda: ProxyService(frozenset(), prove_domains="no"),  # type: ignore[arg-type]
        lambda: verify_identity(b"", "example.com", allow_wildcards="no"),  # type: ignore[arg-type]
        lambda: RtpPacket(0, 1, 2, 3, marker="no"),  # type: ignore[arg-type]
    ],
)
def test_other_words_for_arguments(use: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        use()


def test_mikey_modes_in_words() -> None:
    proposal = Proposal(mode="psk", streams=())  # type: ignore[arg-type]
    assert proposal.mode is Mode.PSK
    assert MikeyProfile(modes=["psk", "dh_sign"]).modes == {Mode.PSK, Mode.DH_SIGN}  # type: ignore[arg-type]
    assert Proposal(mode="PUBLIC-KEY", streams=(), encryption="aes_kw_128").encryption is EncryptionAlgorithm.AES_KW_128  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="PSK, PUBLIC_KEY, DH_SIGN, DHHMAC, RSA_R"):
        Proposal(mode="preshared", streams=())  # type: ignore[arg-type]


def test_cryptex_in_words_encrypts() -> None:
    assert Policy(Profile.AES_CM_128_HMAC_SHA1_80, KEY, SALT, cryptex="required").cryptex is Cryptex.REQUIRED  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="encrypt_rtp is 'yes', it must be True or False"):
        Policy(Profile.AES_CM_128_HMAC_SHA1_80, KEY, SALT, encrypt_rtp="yes")  # type: ignore[arg-type]


def test_bundle_in_words() -> None:
    assert SessionNegotiation((), bundle="accept").bundle is BundlePolicy.ACCEPT  # type: ignore[arg-type]


# What is of the right type and cannot be meant.


@pytest.mark.parametrize("method", [DtlsSrtp, MikeyKeying])
def test_a_class_is_no_keying_method(method: Any) -> None:
    """A class has the attributes of its instances; MIKEY's `hides_keys` would count as true."""
    for make in (lambda: SecurityPolicy(keying=(method,)), lambda: LocalMedia("192.0.2.1", 4000, keying=(method,))):
        with pytest.raises(ValueError, match=f"is the class {method.__name__}, it must be an instance"):
            make()


def test_only_true_hides_keys() -> None:
    """A method that forgot to make it a property does not let keys travel in clear."""

    class Forgetful(Sdescriptions):
        def hides_keys(self) -> bool:
            return False

    assert not SecurityPolicy(keying=(Forgetful(),)).keys_may_travel(hop_is_secure=False)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EndpointSettings("sip:a@b", users={"alice": ""}), "the password of 'alice' is empty"),
        (
            lambda: DigestServer.with_passwords("x", {"alice": ""}, clock=lambda: 0.0),
            "the password of 'alice' is empty",
        ),
        (lambda: DigestSecrets("x").add_password("alice", ""), "the password of 'alice' is empty"),
        (lambda: EndpointSettings("sip:a@b", users={"alice": "x"}, digest_algorithms=()), "SHA-512-256, SHA-256"),
        (lambda: EndpointSettings("sip:a@b", digest_algorithms=("SHA",)), "SHA-512-256, SHA-256"),
        (lambda: DigestServer("x", lambda *_: None, clock=lambda: 0.0, algorithms=()), "SHA-512-256, SHA-256"),
        (lambda: EndpointSettings("sip:a@b", answer_timeout=0), "answer_timeout is 0, it must be a number above 0"),
        (lambda: EndpointSettings("sip:a@b", answer_timeout=float("inf")), "answer_timeout is inf"),
        (lambda: EndpointSettings("sip:a@b", media_timeout=-1), "media_timeout is -1, it must be a number above 0"),
        (lambda: EndpointSettings("sip:a@b", max_calls=-1), "max_calls is -1, it must be at least 0"),
        (lambda: EndpointSettings("sip:a@b", source_unanswered=-1), "source_unanswered is -1"),
        (lambda: LoadLimits(transactions=-1), "transactions is -1, it must be at least 0"),
        (lambda: Timers(t1=0), "t1 is 0, it must be a number above 0"),  # would send for ever without a pause
        (lambda: Timers(t2=-4.0), "t2 is -4.0"),
        (lambda: LocalMedia("", 4000), "address is ''"),
        (lambda: LocalMedia("192.0.2.1\r\na=inactive", 4000), "address is .*one word"),
        (lambda: LocalMedia("192.0.2.1", 4000, media="audio 9"), "media is 'audio 9'"),
        (lambda: LocalMedia("192.0.2.1", 4000, mid="a\r\nb"), "mid is"),
        (lambda: LocalMedia("192.0.2.1", 70000), "port is 70000, it must be from 0 to 65535"),
        (lambda: LocalMedia("192.0.2.1", 4000, rtcp_port=-1), "rtcp_port is -1"),
        (lambda: LocalMedia("192.0.2.1", 4000, telephone_event=128), "telephone_event is 128"),
        (lambda: LocalMedia("192.0.2.1", 4000, ptime=0), "ptime is 0"),
        (lambda: LocalMedia("192.0.2.1", 4000, codecs=()), "codecs is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_algorithms_in_any_case() -> None:
    made = DigestServer.with_passwords("x", {"alice": "secret"}, clock=lambda: 0.0, algorithms=("md5", "sha-256"))
    assert made.algorithms == ("MD5", "SHA-256")
    assert DigestSecrets.of_passwords("x", {"alice": "secret"}, ("md5",)).secret_of("alice", "x", "MD5")


@pytest.mark.parametrize("scheme", ["sips", "SIPS", "Sips"])
def test_a_sips_uri_made_by_hand_is_secure(scheme: str) -> None:
    assert SipUri(scheme, "example.com").secure
    assert not SipUri("sip", "example.com").secure


@pytest.mark.parametrize("stream", ["0", -1, 1, True, None, 0.0])
def test_a_stream_that_there_is_not(stream: Any) -> None:
    """Held, it would have gone on being sent."""
    media = LocalMedia("192.0.2.1", 4000)
    negotiation = SessionNegotiation((media,))
    for use in (
        negotiation.hold,
        negotiation.resume,
        negotiation.remove_media,
        lambda one: negotiation.set_media(one, media),
    ):
        with pytest.raises(ValueError, match="there is no stream"):
            use(stream)
    negotiation.hold(0)
    assert "a=sendonly" in negotiation.create_offer()


@pytest.mark.parametrize(
    "make",
    [
        lambda: AudioNegotiation("192.0.2.1"),  # type: ignore[arg-type]
        lambda: SessionNegotiation(LocalMedia("192.0.2.1", 4000)),  # type: ignore[arg-type]
        lambda: SessionNegotiation(()).add_media(None),  # type: ignore[arg-type]
        lambda: setattr(AudioNegotiation(LocalMedia("192.0.2.1", 4000)), "local", None),
        lambda: Endpoint("sip:alice@example.com"),  # type: ignore[arg-type]
        lambda: Endpoint(EndpointSettings("sip:a@b"), on_call="answer"),  # type: ignore[arg-type]
        lambda: Endpoint(EndpointSettings("sip:a@b"), on_message=5),  # type: ignore[arg-type]
    ],
)
def test_other_types_for_arguments(make: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="it must be"):
        make()


@pytest.mark.parametrize("number", [1.0, 1.5, "1", None])
def test_ssrcs_and_rocs_are_whole_numbers(number: Any) -> None:
    """A policy for the SSRC 1.5 was one for 1 that nothing could remove."""
    session = Session(POLICY, POLICY)
    for use in (
        lambda: session.add_policy(number, SrtpDirection.OUTBOUND, POLICY),
        lambda: session.set_roc(number, SrtpDirection.INBOUND, 0),
        lambda: session.set_roc(1, SrtpDirection.INBOUND, number),
        lambda: session.remove_stream(number, SrtpDirection.INBOUND),
        lambda: session.roc(number, SrtpDirection.INBOUND),
        lambda: session.rtcp_index(number, SrtpDirection.INBOUND),
    ):
        with pytest.raises(TypeError, match="is a whole number, not a"):
            use()
