"""The rules of a registrar, sans-IO: a REGISTER and a record in, a response and the next record out (RFC 3261 10.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from urllib.parse import unquote

from srtp.field_checks import check_fields

from ..callbacks import must_not_be_async
from ..errors import SipParseError
from ..message.grammar import quote
from ..message.header_values import AllContacts, NameAddr
from ..message.host_names import bare_host, host_reference, same_host
from ..message.message import Request, Response
from ..message.uri import SipUri
from .contact import RegisterContact
from .gruu import PREFIX, TemporaryGruus, new_gruu_index, public_gruu
from .location import Binding, Instance, LocationRecord, aor_key

# Of Require (RFC 3327, 5626, 5627).
SUPPORTED = frozenset(("path", "outbound", "gruu"))
HOUR = 3600
# Of what is kept of one contact: its URI, parameters, Path, Call-ID and instance, in characters; and of all together.
MAX_BINDING = 8192
MAX_RECORD = 65536

MayRegister = Callable[[str, SipUri], bool]


@dataclass(frozen=True, slots=True)
class RegistrarSettings:
    """What a registrar serves and grants.

    `domains` are the hosts of its addresses-of-record. Times are in seconds; an interval below
    `min_expires` is refused with 423. An address-of-record has at most `max_bindings`. With
    `path_needs_support` a Path that the user agent does not speak of is refused (RFC 3327 5.3).
    """

    domains: frozenset[str]
    default_expires: int = 3600
    min_expires: int = 60
    max_expires: int = 86400
    max_bindings: int = 32
    path_needs_support: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "domains", frozenset(map(bare_host, self.domains)))


@dataclass(frozen=True, slots=True)
class RegisterOutcome:
    """The response, to be sent once `record` has been saved; None where there is nothing to save."""

    response: Response
    record: LocationRecord | None = None


class _RefusalError(Exception):
    def __init__(self, status: int, reason: str | None = None, **headers: str) -> None:
        super().__init__(status, reason)
        self.status, self.reason, self.headers = status, reason, headers


def is_own_address(user: str, aor: SipUri) -> bool:
    """The usual rule of who may register what: `alice`, or `alice@example.com`, sip:alice@example.com."""
    name = unquote(aor.user or "")
    return bool(name) and user in (name, f"{name}@{host_reference(aor.host)}")


class Registrar:
    """Decides what a REGISTER does. `may_register` says whether a user may change an address-of-record.

    Without `gruus` no GRUUs are given out.
    """

    def __init__(
        self,
        settings: RegistrarSettings,
        *,
        gruus: TemporaryGruus | None = None,
        may_register: MayRegister = is_own_address,
    ) -> None:
        self.settings = settings
        self.gruus = gruus
        must_not_be_async(may_register, "may_register")
        self._may_register = may_register

    def admit(self, request: Request, user: str | None) -> str | Response:
        """Returns the key of the address-of-record that `user`, who has authenticated, may change, or the refusal.

        Steps 1, 2, 4 and 5: 404 for a domain or an address that is not served, 420 for an unknown extension, 403
        for somebody else's address, and for nobody's when `user` is None.
        """
        try:
            return self._admit(request, user)
        except _RefusalError as refusal:
            return self._refuse(request, refusal)

    def register(
        self, request: Request, record: LocationRecord, *, now: float, flow: str | None = None
    ) -> RegisterOutcome:
        """Returns what becomes of an admitted REGISTER, given the record of its address-of-record (steps 6 to 8).

        `now` is in seconds since 1970; `flow` names the connection it came by, when the user agent is at its other
        end. The outcome's record has the version of `record`, for LocationStore.save().
        """
        alive = record.alive(now)
        try:
            contacts = request.contact_values
            if isinstance(contacts, AllContacts):
                changed: LocationRecord | None = self._remove_all(request, alive)
            elif contacts:
                changed = self._update(request, contacts, alive, now, flow)
            else:
                changed = None
            response = self._success(request, changed or alive, now)
        except _RefusalError as refusal:
            return RegisterOutcome(self._refuse(request, refusal))
        except SipParseError as error:
            return RegisterOutcome(request.create_response(error.status, str(error)))
        return RegisterOutcome(response, changed)

    def _admit(self, request: Request, user: str | None) -> str:
        if not isinstance(request.uri, SipUri) or bare_host(request.uri.host) not in self.settings.domains:
            raise _RefusalError(404)
        unsupported = [tag for tag in request.option_tags("Require") if tag not in SUPPORTED]
        if unsupported:
            raise _RefusalError(420, Unsupported=", ".join(unsupported))
        aor = request.to.uri
        if not isinstance(aor, SipUri):
            raise _RefusalError(400, "To is no SIP address")
        if user is None or not self._may_register(user, aor):
            raise _RefusalError(403)
        if not same_host(aor.host, request.uri.host) or aor.user is None:
            raise _RefusalError(404)
        return aor_key(aor)

    def _remove_all(self, request: Request, record: LocationRecord) -> LocationRecord:
        if request.expires != 0:
            raise _RefusalError(400, "Contact: * needs Expires: 0")
        for binding in record.bindings:
            self._check_order(request, binding)
        return replace(record, bindings=(), instances=())

    def _update(
        self, request: Request, contacts: list[NameAddr], record: LocationRecord, now: float, flow: str | None
    ) -> LocationRecord:
        first_hop = len(request.vias) == 1
        path = self._path(request)
        flows = self._flows_apply(request, contacts, path, first_hop=first_hop)
        wanted = [RegisterContact.of(contact, request, flows=flows) for contact in contacts]
        if sum(one.expires != 0 for one in wanted) > 1 and any(one.reg_id is not None for one in wanted):
            raise _RefusalError(400, "A flow is registered alone")
        bindings = list(record.bindings)
        for one in wanted:
            self._check_contact(request, one, path)
            same = [binding for binding in bindings if one.is_of(binding)]
            for binding in same:
                if binding in record.bindings:
                    self._check_order(request, binding)
            bindings = [binding for binding in bindings if binding not in same]
            expires = self._granted(one)
            if expires:
                made = _binding(request, one, now, expires, path, flow if first_hop else None)
                if made.length > MAX_BINDING:
                    raise _RefusalError(403, "Contact Too Long")
                bindings.append(made)
        if len(bindings) > self.settings.max_bindings or sum(one.length for one in bindings) > MAX_RECORD:
            raise _RefusalError(403, "Too Many Contacts")
        return replace(record, bindings=tuple(bindings), instances=self._instances(request, record, bindings))

    def _check_order(self, request: Request, binding: Binding) -> None:
        """Steps 6 and 7: of one Call-ID only a higher CSeq may change a binding."""
        if binding.call_id == request.call_id and request.cseq.number <= binding.cseq:
            raise _RefusalError(500, "CSeq Out of Order")

    def _path(self, request: Request) -> tuple[str, ...]:
        path = tuple(str(value) for value in request.path)
        if path and self.settings.path_needs_support and "path" not in request.option_tags("Supported"):
            raise _RefusalError(420, Unsupported="path")
        return path

    def _flows_apply(
        self, request: Request, contacts: list[NameAddr], path: tuple[str, ...], *, first_hop: bool
    ) -> bool:
        """Whether reg-id counts (RFC 5626 6): the first hop, ours or the bottom one of Path, keeps flows open."""
        if not any(contact.parameter("reg-id") is not None for contact in contacts):
            return False
        if first_hop or (path and NameAddr.parse(path[-1]).sip_uri.parameter("ob") is not None):
            return True
        if "outbound" in request.option_tags("Supported"):
            raise _RefusalError(439)
        return False

    def _check_contact(self, request: Request, wanted: RegisterContact, path: tuple[str, ...]) -> None:
        uri = wanted.address.uri
        if not isinstance(uri, SipUri):
            if wanted.instance is not None:
                raise _RefusalError(403, "Contact is no SIP address")
            return
        aor = request.to.sip_uri
        own = uri.port is None and not uri.headers and aor_key(uri) == aor_key(aor)
        if own or (bare_host(uri.host) in self.settings.domains and (uri.user or "").startswith(PREFIX)):
            raise _RefusalError(403, "Contact leads back here")
        secure = isinstance(request.uri, SipUri) and request.uri.secure
        if uri.secure and not (secure and all(NameAddr.parse(one).sip_uri.secure for one in path)):
            raise _RefusalError(400, "A sips Contact needs sips all the way")  # RFC 5630 5.2

    def _granted(self, wanted: RegisterContact) -> int:
        settings = self.settings
        expires = settings.default_expires if wanted.expires is None else wanted.expires
        if 0 < expires < min(settings.min_expires, HOUR):
            raise _RefusalError(423, **{"Min-Expires": str(settings.min_expires)})
        return min(expires, settings.max_expires)

    def _instances(self, request: Request, record: LocationRecord, bindings: list[Binding]) -> tuple[Instance, ...]:
        """RFC 5627 5.1: temporary GRUUs end with the Call-ID that they were given out under."""
        if self.gruus is None:
            return ()
        known = {one.id: one for one in record.instances}
        found = []
        for name in dict.fromkeys(one.instance for one in bindings if one.instance is not None):
            fresh = [one for one in bindings if one.instance == name and one not in record.bindings]
            before = [
                one for one in record.bindings if one.instance == name and (not fresh or one.reg_id == fresh[-1].reg_id)
            ]
            latest = max(before, key=lambda one: one.updated_at, default=None)
            renewed = fresh and latest is not None and latest.call_id != request.call_id
            found.append(Instance(name, new_gruu_index()) if renewed or name not in known else known[name])
        return tuple(found)

    def _success(self, request: Request, record: LocationRecord, now: float) -> Response:
        response = request.create_response(200)
        tags = request.option_tags("Supported")
        gruu = "gruu" in tags
        for binding in record.bindings:
            response.headers.add("Contact", self._contact(request, record, binding, now, gruu=gruu))
        for value in request.headers.get_all("Path"):
            response.headers.add("Path", value)
        mine = [one for one in record.bindings if one.reg_id is not None and one.updated_at == now]
        if "outbound" in tags and any(one.call_id == request.call_id for one in mine):
            response.headers.add("Require", "outbound")
        response.headers.add("Date", formatdate(now, usegmt=True))
        return response

    def _contact(self, request: Request, record: LocationRecord, binding: Binding, now: float, *, gruu: bool) -> str:
        parameters = list(binding.parameters)
        if binding.q < 1000:
            parameters.append(("q", f"{binding.q / 1000:g}"))
        parameters.append(("expires", str(binding.remaining(now))))
        if binding.instance is not None:
            parameters.append(("+sip.instance", quote(f"<{binding.instance}>")))
        if binding.reg_id is not None:
            parameters.append(("reg-id", str(binding.reg_id)))
        uri = binding.uri
        index = next((one.gruu_index for one in record.instances if one.id == binding.instance), None)
        if gruu and self.gruus is not None and binding.instance is not None and index is not None:
            aor = request.to.sip_uri
            secure = isinstance(uri, SipUri) and uri.secure
            public = public_gruu(aor, binding.instance, secure=secure)
            temporary = self.gruus.create(index, host_reference(aor.host), secure=secure)
            parameters += [("pub-gruu", quote(str(public))), ("temp-gruu", quote(str(temporary)))]
        return str(NameAddr(uri, "", tuple(parameters)))

    def _refuse(self, request: Request, refusal: _RefusalError) -> Response:
        response = request.create_response(refusal.status, refusal.reason)
        for name, value in refusal.headers.items():
            response.headers.add(name, value)
        return response


def _binding(
    request: Request, wanted: RegisterContact, now: float, expires: int, path: tuple[str, ...], flow: str | None
) -> Binding:
    return Binding(
        contact=str(wanted.address.uri),
        expires_at=now + expires,
        updated_at=now,
        call_id=request.call_id,
        cseq=request.cseq.number,
        q=wanted.q,
        parameters=wanted.parameters,
        path=path,
        instance=wanted.instance,
        reg_id=wanted.reg_id,
        flow=flow,
    )
