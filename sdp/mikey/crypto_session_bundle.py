"""What an exchange comes to: keys, policies, crypto sessions and their `srtp` policies (RFC 3830 4.1.3, 4.4)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from srtp import Policy, PolicyError, Profile, SecretBytes
from srtp.field_checks import as_flag, check_fields

from ..errors import MikeyRefusedError
from .code_points import ErrorNumber, KeyType, KeyValidityType
from .exchange import MikeyProfile, Mode
from .header import CsIdMap, SrtpIdMap
from .key_data import KeyData, KeyValidity
from .key_transport import MessageKeys
from .payloads import Id, Sp, T
from .prf import SALTING_KEY, TEK, KeyDerivation
from .srtp_policy import key_derivation_rate_of, profile_of

_TGKS = (KeyType.TGK, KeyType.TGK_SALT, KeyType.GTGK, KeyType.GTGK_SALT)
_TEKS = (KeyType.TEK, KeyType.TEK_SALT)
MIN_TGK_LENGTH = 16
MAX_MKI_LENGTH = 128


@dataclass(frozen=True, slots=True)
class KeyedPolicy:
    """An `srtp` policy of a crypto session, and the packet indexes it holds for, None where it has no such limit."""

    policy: Policy
    valid_from: int | None = None
    valid_to: int | None = None


@dataclass(frozen=True, slots=True)
class CryptoSession:
    """One stream: its ID, SSRC (0 where nobody said) and ROC, and its policies, one for each key, the first first."""

    cs_id: int
    ssrc: int
    roc: int
    keys: tuple[KeyedPolicy, ...]

    @property
    def policy(self) -> Policy:
        """The policy of all keys, the first of which protects, the others told by MKI or by packet index.

        Raises MikeyRefusedError (INVALID_SPPAR) when they cannot be told apart in one stream, as MKIs of two lengths.
        """
        first, *further = (one.policy for one in self.keys)
        try:
            return replace(first, further_keys=tuple(one.master_keys[0] for one in further))
        except PolicyError as error:
            raise MikeyRefusedError(ErrorNumber.INVALID_SPPAR, str(error)) from None


@dataclass(frozen=True, slots=True)
class CryptoSessionBundle:
    """An established bundle. An update (RFC 3830 4.5) gives another one, with the same CSB ID and RAND.

    `keys` are TGKs or TEKs with their validity. `message_key` is what an update message is protected with: the
    pre-shared key, or an envelope key that was to be cached. `timestamp` is the T of the last exchange.
    """

    mode: Mode
    profile: MikeyProfile
    derivation: KeyDerivation
    cs_id_map: CsIdMap
    policies: tuple[Sp, ...]
    keys: tuple[KeyData, ...]
    initiator: Id
    responder: Id
    timestamp: T
    message_key: SecretBytes | None = None
    envelope_key_cached: bool = field(default=False)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def csb_id(self) -> int:
        return self.derivation.csb_id

    @property
    def message_keys(self) -> MessageKeys | None:
        """What protects an update, None when that takes a signature."""
        return None if self.message_key is None else MessageKeys(self.derivation, self.message_key)

    def profile_of_policy(self, policy_no: int) -> Profile:
        """Returns the `srtp` profile of a policy number; raises MikeyRefusedError (INVALID_SP, INVALID_SPPAR)."""
        return profile_of(
            self._sp(policy_no), allow_null=self.profile.allow_null_srtp, lenient=self.profile.null_over_tls
        )

    def _sp(self, policy_no: int) -> Sp:
        found = [one for one in self.policies if one.policy_no == policy_no]
        if len(found) != 1:
            raise MikeyRefusedError(ErrorNumber.INVALID_SP, f"there are {len(found)} policies of number {policy_no}")
        return found[0]

    @property
    def sessions(self) -> tuple[CryptoSession, ...]:
        """The crypto sessions of the SRTP-ID map, in order, with all their keys derived; none of an Empty map.

        Raises MikeyRefusedError when a policy is missing or not supported, a key does not fit it, or two streams
        would have both key and SSRC in common.
        """
        if not isinstance(self.cs_id_map, SrtpIdMap):
            return ()
        self._refuse_shared_keystream(self.cs_id_map)
        return tuple(
            CryptoSession(cs_id, one.ssrc, one.roc, self._policies_by_map(cs_id, one.policy_no))
            for cs_id, one in enumerate(self.cs_id_map.entries, 1)
        )

    def media_sessions(self, line: int, *, initiator: bool) -> tuple[CryptoSession, CryptoSession]:
        """Returns the crypto sessions that we send and receive a media line with, the first line being 0.

        Each line has two consecutive IDs (RFC 4567 7.1); of them the first is the stream of the initiator.
        Raises MikeyRefusedError when the map has no such two.
        """
        pair = self.sessions[2 * line : 2 * line + 2]
        if line < 0 or len(pair) != 2:
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, f"media line {line} has no two crypto sessions")
        return (pair[0], pair[1]) if as_flag(initiator, "initiator") else (pair[1], pair[0])

    def _policies_by_map(self, cs_id: int, policy_no: int) -> tuple[KeyedPolicy, ...]:
        rate = key_derivation_rate_of(self._sp(policy_no))
        return self.keyed_policies(cs_id, self.profile_of_policy(policy_no), rate)

    def keyed_policies(self, cs_id: int, profile: Profile, key_derivation_rate: int = 0) -> tuple[KeyedPolicy, ...]:
        """Returns the policies of a crypto session, one for each key, for a profile told outside of MIKEY.

        Raises MikeyRefusedError when a key has not the profile's length, or there is none.
        """
        if not self.keys:
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "there is no key")
        return tuple(self._keyed_policy(key, cs_id, profile, key_derivation_rate) for key in self.keys)

    def _refuse_shared_keystream(self, cs_id_map: SrtpIdMap) -> None:
        """A TEK is the key of all streams, so two of one SSRC would share their keystream (RFC 3711 9.1)."""
        ssrcs = [entry.ssrc for entry in cs_id_map.entries if entry.ssrc]
        if len(set(ssrcs)) < len(ssrcs) and any(key.kind in _TEKS for key in self.keys):
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "two streams have a TEK and an SSRC in common")

    def _keyed_policy(self, key: KeyData, cs_id: int, profile: Profile, rate: int) -> KeyedPolicy:
        if key.kind in _TGKS:
            if len(key.key) < MIN_TGK_LENGTH:
                raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, f"a TGK of {len(key.key)} bytes is too short")
            master_key = self.derivation.from_tgk(key.key, TEK, cs_id, profile.master_key_length)
            salt_length = profile.master_salt_length
            master_salt = key.salt
            if master_salt is None:
                master_salt = self.derivation.from_tgk(key.key, SALTING_KEY, cs_id, salt_length)
        elif key.kind in _TEKS:
            master_key, master_salt = self._tek(key, profile)
        else:
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, f"keys of type {key.kind} are not supported")
        if (len(master_key), len(master_salt)) != (profile.master_key_length, profile.master_salt_length):
            text = f"key and salt have {len(master_key)} and {len(master_salt)} bytes, {profile.name} has others"
            raise MikeyRefusedError(ErrorNumber.INVALID_SPPAR, text)
        if len(key.validity.spi) > MAX_MKI_LENGTH:
            raise MikeyRefusedError(ErrorNumber.INVALID_SPPAR, f"an MKI has more than {MAX_MKI_LENGTH} bytes")
        valid_from, valid_to = _interval(key.validity)
        policy = Policy(profile, master_key, master_salt, key.validity.spi, key_derivation_rate=rate)
        if valid_from is not None and valid_to is not None:
            try:
                policy = replace(policy, valid_from=valid_from, valid_to=valid_to)
            except PolicyError as error:
                raise MikeyRefusedError(ErrorNumber.INVALID_SPPAR, str(error)) from None
        return KeyedPolicy(policy, valid_from, valid_to)

    def _tek(self, key: KeyData, profile: Profile) -> tuple[SecretBytes, SecretBytes]:
        if key.salt is not None:
            return key.key, key.salt
        split = profile.master_key_length
        if self.profile.null_over_tls and len(key.key) == split + profile.master_salt_length:
            both = memoryview(key.key)
            return SecretBytes(both[:split]), SecretBytes(both[split:])
        raise MikeyRefusedError(ErrorNumber.INVALID_SPPAR, "a TEK comes without its salt")


def _interval(validity: KeyValidity) -> tuple[int | None, int | None]:
    if validity.kind != KeyValidityType.INTERVAL:
        return None, None
    if len(validity.valid_from) != 6 or len(validity.valid_to) != 6:
        raise MikeyRefusedError(ErrorNumber.INVALID_SPPAR, "a key's interval is not one of 6-byte packet indexes")
    return int.from_bytes(validity.valid_from), int.from_bytes(validity.valid_to)
