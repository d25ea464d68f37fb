"""The registrar (RFC 3261 10, 3327, 5627) and the stores of its bindings."""

from typing import TYPE_CHECKING

from .gruu import TemporaryGruus
from .location import Binding, Located, LocationRecord, LocationStore
from .location_service import LocationService
from .registrar import Registrar, RegistrarSettings
from .store_memory import MemoryLocationStore

if TYPE_CHECKING:
    from .store_redis import RedisLocationStore
    from .store_sqlite import SqliteLocationStore

__all__ = [
    "Binding",
    "Located",
    "LocationRecord",
    "LocationService",
    "LocationStore",
    "MemoryLocationStore",
    "RedisLocationStore",
    "Registrar",
    "RegistrarSettings",
    "SqliteLocationStore",
    "TemporaryGruus",
]


def __getattr__(name: str) -> object:
    """Import what needs an extra, or takes long to load, when it is asked for."""
    if name == "RedisLocationStore":
        from .store_redis import RedisLocationStore

        return RedisLocationStore
    if name == "SqliteLocationStore":
        from .store_sqlite import SqliteLocationStore

        return SqliteLocationStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
