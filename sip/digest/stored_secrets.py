"""The users of a realm as HA1 values, the only form in which their passwords are kept (RFC 7616 3.4.2)."""

from __future__ import annotations

from collections.abc import Mapping

from srtp import SecretBytes

from .calculation import ALGORITHMS, canonical_algorithm, checked_algorithms, digest_length, ha1, userhash


class DigestSecrets:
    """HA1 by username and algorithm, for one realm; never shown, never pickled."""

    def __init__(self, realm: str) -> None:
        self.realm = realm
        self._secrets: dict[tuple[str, str], SecretBytes] = {}
        self._usernames: dict[tuple[str, str], str] = {}

    def add_password(self, username: str, password: str, algorithms: tuple[str, ...] = ALGORITHMS) -> None:
        """Adds a user's HA1 for each algorithm; the password itself is not kept.

        Raises ValueError for an empty password, which everybody knows, and for an algorithm that is not supported.
        """
        if not password:
            raise ValueError(f"the password of {username!r} is empty: anybody could answer for it")
        for algorithm in algorithms:
            self.add_ha1(username, algorithm, ha1(algorithm, username, self.realm, password))

    def add_ha1(self, username: str, algorithm: str, secret: str) -> None:
        """Adds H(username:realm:password) in hex; raises ValueError when the algorithm or the length is wrong."""
        name = canonical_algorithm(algorithm)
        if name is None:
            raise ValueError(f"the algorithm {algorithm!r} is not supported")
        if len(secret) != digest_length(name) or any(digit not in "0123456789abcdefABCDEF" for digit in secret):
            raise ValueError(f"the HA1 of {username!r} is not {digest_length(name)} hex digits")
        self._secrets[username, name] = SecretBytes(secret.lower().encode())
        self._usernames[userhash(name, username, self.realm), name] = username

    def secret_of(self, username: str, realm: str, algorithm: str) -> str | None:
        """Returns HA1, or None when there is none."""
        found = self._secrets.get((username, algorithm)) if realm == self.realm else None
        return None if found is None else bytes(found).decode()

    def username_of(self, hashed: str, algorithm: str) -> str | None:
        """Returns the name whose userhash this is (RFC 7616 3.4.4), or None."""
        return self._usernames.get((hashed, algorithm))

    @classmethod
    def of_passwords(
        cls, realm: str, passwords: Mapping[str, str], algorithms: tuple[str, ...] = ALGORITHMS
    ) -> DigestSecrets:
        """Returns the secrets of users known by name and password."""
        secrets = cls(realm)
        algorithms = checked_algorithms(algorithms)
        for username, password in passwords.items():
            secrets.add_password(username, password, algorithms)
        return secrets

    @classmethod
    def parse(cls, realm: str, text: str) -> DigestSecrets:
        """Reads lines of `username:realm:algorithm:HA1`, those of other realms passed over, `#` starting a comment.

        Raises ValueError naming the line that is none.
        """
        secrets = cls(realm)
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = line.strip().split(":")
            if len(fields) != 4 or not fields[0]:
                raise ValueError(f"line {number} is not username:realm:algorithm:HA1")
            if fields[1] == realm:
                try:
                    secrets.add_ha1(fields[0], fields[2], fields[3])
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from None
        return secrets

    def __repr__(self) -> str:
        return f"DigestSecrets({self.realm!r}, {len({name for name, _ in self._secrets})} users)"
