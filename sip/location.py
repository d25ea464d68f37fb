"""What a location service knows (RFC 3261 10): bindings of an address-of-record, and the store that keeps them."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from srtp import SecretBytes

from .errors import LocationStoreError, SipParseError
from .grammar import Parameters
from .uri import SipUri, Uri, parse_uri

# The version of an address-of-record of which nothing is stored.
ABSENT = ""
SECRET_BYTES = 32


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
        """Reads what to_json() wrote; raises LocationStoreError for anything else."""
        try:
            rows = json.loads(text)
            bindings = tuple(_binding(row) for row in rows["bindings"])
            instances = tuple(Instance(str(row["id"]), int(row["gruu_index"])) for row in rows["instances"])
        except (ValueError, KeyError, TypeError) as error:
            raise LocationStoreError(f"the record of {aor} cannot be read: {error}") from None
        return cls(aor, bindings, instances, version)


class LocationStore(Protocol):
    """Keeps records, for one registrar or for many at once.

    Every method raises LocationStoreError when the store fails. What save() returned True for is there to stay,
    whatever becomes of the process.
    """

    async def load(self, aor: str) -> LocationRecord:
        """Returns the record of an address-of-record, expired bindings and all; an empty one when there is none."""
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
    considered. With `secure`, for a sips request, only sips contacts are (RFC 5630 5.3).
    """
    usable = [one for one in record.alive(now).bindings if instance is None or one.instance == instance]
    usable = [one for one in usable if isinstance(one.uri, SipUri) and (one.uri.secure or not secure)]
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


def aor_key(uri: SipUri) -> str:
    """Returns the key of an address-of-record (10.3 step 5): user@host, unescaped where that is safe.

    The sip and sips schemes are one resource (RFC 5630 5.2); parameters and port do not count.
    """
    return uri.address_of_record.partition(":")[2]


def new_version() -> str:
    """Returns a version that no record had before; a count would start anew once a record was removed."""
    return secrets.token_hex(8)


def _binding(row: dict[str, Any]) -> Binding:
    parameters = tuple((str(name), None if value is None else str(value)) for name, value in row.pop("parameters"))
    binding = Binding(**{**row, "parameters": parameters, "path": tuple(row["path"])})
    try:
        parse_uri(binding.contact)
    except SipParseError as error:
        raise ValueError(str(error)) from None
    return binding
