"""Who begins the DTLS handshake (a=setup, RFC 4145 4 and RFC 5763 5)."""

from __future__ import annotations

import enum

from srtp.field_checks import as_member

from ..description.session_description import MediaDescription, SessionDescription
from ..errors import DtlsAttributeError


class SetupRole(enum.Enum):
    """A value of a=setup. The active side is the DTLS client, the passive one the server."""

    ACTIVE = "active"
    PASSIVE = "passive"
    ACTPASS = "actpass"
    HOLDCONN = "holdconn"

    @property
    def opposite(self) -> SetupRole:
        """The role of the other side, for ACTIVE and PASSIVE."""
        swap = {SetupRole.ACTIVE: SetupRole.PASSIVE, SetupRole.PASSIVE: SetupRole.ACTIVE}
        return swap.get(self, self)


def setup_of(description: SessionDescription, section: MediaDescription, *, answer: bool) -> SetupRole:
    """Returns the a=setup of a section, its own or the session's.

    Without any it is active in an offer and passive in an answer (RFC 4145 4). Raises DtlsAttributeError when it
    is none of the four values, or there are different ones.
    """
    values = section.attributes("setup") or description.attributes("setup")
    if not values:
        return SetupRole.PASSIVE if answer else SetupRole.ACTIVE
    names = {value.strip().lower() for value in values}
    try:
        (name,) = names
        return SetupRole(name)
    except ValueError:
        raise DtlsAttributeError("setup", "a=setup is none of active, passive and actpass") from None


def role_to_answer(offered: SetupRole, preferred: SetupRole = SetupRole.ACTIVE) -> SetupRole:
    """Returns our role, ACTIVE or PASSIVE, for an answer: the `preferred` one where the offer leaves the choice.

    Raises DtlsAttributeError for holdconn, which RFC 8842 5.1 excludes.
    """
    offered = as_member(SetupRole, offered, "offered")
    preferred = as_member(SetupRole, preferred, "preferred")
    if offered is SetupRole.HOLDCONN:
        raise DtlsAttributeError("setup", "a=setup:holdconn is not allowed for DTLS")
    return preferred if offered is SetupRole.ACTPASS else offered.opposite


def role_from_answer(answered: SetupRole) -> SetupRole:
    """Returns our role when our offer said actpass; raises DtlsAttributeError when the answer decides nothing."""
    answered = as_member(SetupRole, answered, "answered")
    if answered not in (SetupRole.ACTIVE, SetupRole.PASSIVE):
        raise DtlsAttributeError("setup", f"the answer's a=setup:{answered.value} is neither active nor passive")
    return answered.opposite
