"""A username and its secret for one realm, and where they may be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..message.host_names import bare_host
from .stored_secrets import DigestSecrets


class Credentials:
    """A username for one realm, with its password, or with HA1 by algorithm instead: `{"SHA-256": "…hex…"}`.

    The password is not kept, only HA1, and that never shows in repr, nor can it be pickled. `destinations` are the
    hosts that a challenge of the realm is answered to: names as TLS proves them, or addresses where there is no
    TLS. By default that is the realm itself, where it is a domain. Raises ValueError for neither password nor HA1,
    or an HA1 that is none.
    """

    __slots__ = ("_named", "_secrets", "destinations", "realm", "username")

    def __init__(
        self,
        realm: str,
        username: str,
        password: str | None = None,
        *,
        ha1: Mapping[str, str] | None = None,
        destinations: Iterable[str] | None = None,
    ) -> None:
        if (password is None) == (not ha1):
            raise ValueError("either a password or HA1 is needed")
        self.realm = realm
        self.username = username
        secrets = DigestSecrets(realm)
        if password is not None:
            secrets.add_password(username, password)
        for algorithm, secret in (ha1 or {}).items():
            secrets.add_ha1(username, algorithm, secret)
        self._secrets = secrets
        self._named = destinations is not None
        self.destinations = _normal((realm,) if destinations is None else destinations)

    def knows(self, algorithm: str) -> bool:
        """Whether there is an HA1 for this algorithm."""
        return self._secrets.secret_of(self.username, self.realm, algorithm) is not None

    def ha1(self, algorithm: str) -> str:
        """Returns HA1 for an algorithm; KeyError when there is none."""
        found = self._secrets.secret_of(self.username, self.realm, algorithm)
        if found is None:
            raise KeyError(algorithm)
        return found

    def also_for(self, destinations: Iterable[str]) -> Credentials:
        """Returns these credentials for more destinations; itself when its destinations were named, for no others."""
        if self._named:
            return self
        other = Credentials.__new__(Credentials)
        other.realm, other.username = self.realm, self.username
        other._secrets, other._named = self._secrets, False
        other.destinations = self.destinations | _normal(destinations)
        return other

    def __repr__(self) -> str:
        return f"Credentials({self.realm!r}, {self.username!r}, destinations={sorted(self.destinations)})"


def _normal(names: Iterable[str]) -> frozenset[str]:
    return frozenset(map(bare_host, names))
