"""What a location service knows (RFC 3261 10): bindings of an address-of-record, and the store that keeps them."""

from __future__ import annotations

import json
import math
import secrets
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from srtp import SecretBytes

from ..errors import LocationRecordError, SipParseError
from ..message.grammar import Parameters
from ..message.header_values import NameAddr
from ..message.uri import SipUri, Uri, parse_uri

# The version of an address-of-record of which nothing is stored.
ABSENT = ""
SECRET_BYTES = 32
# Of one record, as JSON: more than a registrar lets become of one (`registrar.MAX_RECORD`, each character 12 bytes).
MAX_RECORD_BYTES = 1 << 20
MAX_VERSION = 64


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of an address-of-record.

    Times are seconds since 1970, so that they outlive a restart. `q` is in thousandths. `parameters` are those of
    the Contact that are not fields here. `path` are the Path values from the top (RFC 3327), `instance` is the
    content of +sip.instance without quotes and brackets, `reg_id` numbers the flow (RFC 5626). `flow` is a token of
    the connection that the REGISTER came by, for the server that holds it.
    """

    contact: str
    expires_at: float
    updated_at: float
    call_id: str
    cseq: int
    q: int = 1000
    parameters: Parameters = ()
    path: tuple[str, ...] = ()
    instance: str | None = None
    reg_id: int | None = None
    flow: str | None = None

    @property
    def uri(self) -> Uri:
        """The contact's URI."""
        return parse_uri(self.contact)

    @property
    def length(self) -> int:
        """The characters kept of it that others have chosen."""
        texts = (self.contact, self.call_id, self.instance or "", self.flow or "", *self.path)
        return sum(map(len, texts)) + sum(len(name) + len(value or "") for name, value in self.parameters)

    def remaining(self, now: float) -> int:
        """Returns the seconds until it expires, rounded up; 0 once it has."""
        return max(0, -int(-(self.expires_at - now) // 1))

    def names(self, uri: Uri) -> bool:
        """Whether its contact is `uri` by RFC 3261 19.1.4, the sip and sips schemes taken as one (RFC 5630 5.1.1.1)."""
        mine = self.uri
        if isinstance(mine, SipUri) and isinstance(uri, SipUri):
            return replace(mine, scheme="sip").equivalent(replace(uri, scheme="sip"))
        return str(mine) == str(uri)


@dataclass(frozen=True, slots=True)
class Instance:
    """A user agent instance with bindings; `gruu_index` is what its valid temporary GRUUs hold (RFC 5627 5.4)."""

    id: str
    gruu_index: int


@dataclass(frozen=True, slots=True)
class LocationRecord:
    """All that is stored of one address-of-record, `user@host`. `version` changes with every save."""

    aor: str
    bindings: tuple[Binding, ...] = ()
    instances: tuple[Instance, ...] = ()
    version: str = ABSENT

    def alive(self, now: float) -> LocationRecord:
        """Returns it without what has expired by `now`, and without instances that have no binding left."""
        bindings = tuple(one for one in self.bindings if one.expires_at > now)
        if len(bindings) == len(self.bindings):
            return self
        present = {one.instance for one in bindings}
        return replace(self, bindings=bindings, instances=tuple(one for one in self.instances if one.id in present))

    @property
    def expires_at(self) -> float:
        """When its last binding expires; 0 without any."""
        return max((one.expires_at for one in self.bindings), default=0.0)

    @property
    def gruu_indices(self) -> frozenset[int]:
        """The indices of its valid temporary GRUUs."""
        return frozenset(one.gruu_index for one in self.instances)

    def to_json(self) -> str:
        """Returns bindings and instances as JSON text."""
        rows = {
            "bindings": [asdict(one) for one in self.bindings],
            "instances": [asdict(one) for one in self.instances],
        }
        return json.dumps(rows, separators=(",", ":"))

    @classmethod
    def from_json(cls, aor: str, version: str, text: str) -> LocationRecord:
        """Reads what to_json() wrote; raises LocationRecordError for anything else, and over MAX_RECORD_BYTES."""
        try:
            if len(text) > MAX_RECORD_BYTES:
                raise ValueError(f"it has {len(text)} characters")
            rows = json.loads(text)
            bindings = tuple(_binding(row) for row in rows["bindings"])
            instances = tuple(_instance(row) for row in rows["instances"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise LocationRecordError(str(error) or type(error).__name__, aor=aor, version=version) from None
        return cls(aor, bindings, instances, version)


class LocationStore(Protocol):
    """Keeps records, for one registrar or for many at once.

    Every method raises LocationStoreError when the store fails, LocationStoreBusyError when it fails for want of
    time. What save() returned True for is there to stay, whatever becomes of the process. A cancelled save() may have
    been done or not.
    """

    async def load(self, aor: str) -> LocationRecord:
        """Returns the record of an address-of-record, expired bindings and all; an empty one when there is none.

        Raises LocationRecordError for one that cannot be read, or is larger than MAX_RECORD_BYTES.
        """
        ...

    async def save(self, record: LocationRecord) -> bool:
        """Replaces the record whose version `record` has; False, and nothing is done, when another was saved since.

        A record without bindings is removed. False, too, when a gruu_index of it belongs to another record.
        """
        ...

    async def aor_of(self, gruu_index: int) -> str | None:
        """Returns the address-of-record whose record has this gruu_index, or None."""
        ...

    async def secret(self) -> SecretBytes:
        """Returns 32 random bytes, the same to everybody who uses the store."""
        ...

    async def purge(self, now: float) -> int:
        """Removes the records whose bindings have all expired by `now`; returns how many."""
        ...

    async def close(self) -> None:
        """Lets go of files and connections."""
        ...


@dataclass(frozen=True, slots=True)
class Located:
    """Where a request for an address-of-record may go: bindings to try, those of one group at once.

    `groups` are in falling order of q. `alternatives` has, by instance, the bindings to try when the flow of the
    one in `groups` has failed.
    """

    aor: str
    groups: tuple[tuple[Binding, ...], ...] = ()
    alternatives: dict[str, tuple[Binding, ...]] = field(default_factory=dict)


def select_bindings(
    record: LocationRecord, now: float, *, instance: str | None = None, secure: bool = False
) -> Located:
    """Returns the bindings of a record to send a request to, alive at `now`.

    Of those with one instance only the most recently refreshed is tried; `alternatives` has the others by
    instance, for when the flow of the first has failed (RFC 5626 7, RFC 5627 6.1). With `instance` no other is
    considered. With `secure`, for a sips request, only sips contacts are (RFC 5630 5.3). One whose Path cannot be
    read is left out.
    """
    usable = [one for one in record.alive(now).bindings if instance is None or one.instance == instance]
    usable = [one for one in usable if isinstance(one.uri, SipUri) and (one.uri.secure or not secure)]
    usable = [one for one in usable if not one.path or _can_be_routed(one.path)]
    usable.sort(key=lambda one: (-one.q, -one.updated_at))
    first: dict[str, Binding] = {}
    alternatives: dict[str, tuple[Binding, ...]] = {}
    for one in sorted(usable, key=lambda one: -one.updated_at):
        if one.instance is None:
            continue
        if one.instance in first:
            alternatives[one.instance] = (*alternatives.get(one.instance, ()), one)
        else:
            first[one.instance] = one
    groups: dict[int, list[Binding]] = {}
    for one in usable:
        if one.instance is None or first[one.instance] is one:
            groups.setdefault(one.q, []).append(one)
    return Located(record.aor, tuple(tuple(group) for group in groups.values()), alternatives)


def _can_be_routed(path: tuple[str, ...]) -> bool:
    try:
        return all(isinstance(NameAddr.parse(one).uri, SipUri) for one in path)
    except SipParseError:
        return False


def aor_key(uri: SipUri) -> str:
    """Returns the key of an address-of-record (10.3 step 5): user@host, unescaped where that is safe.

    The sip and sips schemes are one resource (RFC 5630 5.2); parameters and port do not count.
    """
    return uri.address_of_record.partition(":")[2]


def new_version() -> str:
    """Returns a version that no record had before; a count would start anew once a record was removed."""
    return secrets.token_hex(8)


def checked_version(aor: str, version: object) -> str:
    """Returns the version that a store has kept; raises LocationRecordError for what can be none."""
    if not isinstance(version, str) or not 0 < len(version) <= MAX_VERSION:
        raise LocationRecordError("it has no version", aor=aor, version=None)
    return version


_BINDING_KINDS: dict[str, type | tuple[type, ...]] = {
    "contact": str,
    "expires_at": (int, float),
    "updated_at": (int, float),
    "call_id": str,
    "cseq": int,
    "q": int,
    "instance": (str, type(None)),
    "reg_id": (int, type(None)),
    "flow": (str, type(None)),
}


def _binding(row: dict[str, Any]) -> Binding:
    parameters = tuple((str(name), None if value is None else str(value)) for name, value in row.pop("parameters"))
    path = row.pop("path")
    if not isinstance(path, list) or not all(isinstance(one, str) for one in path):
        raise ValueError("a path is no list of texts")
    binding = Binding(**row, parameters=parameters, path=tuple(path))
    for name, kind in _BINDING_KINDS.items():
        if not isinstance(getattr(binding, name), kind):
            raise ValueError(f"{name} is of the wrong kind")
    if not (math.isfinite(binding.expires_at) and math.isfinite(binding.updated_at)):
        raise ValueError("a time is no number")
    parse_uri(binding.contact)  # raises a ValueError
    return binding


def _instance(row: dict[str, Any]) -> Instance:
    id_, index = row["id"], row["gruu_index"]
    if not isinstance(id_, str) or not isinstance(index, int) or not 0 <= index < 1 << 64:
        raise ValueError("an instance is of the wrong kind")
    return Instance(id_, index)
