"""What the fields of settings and values may hold: words become members of enums, other types are refused.

Settings decide about security by comparing members and by truth: a word that no member is, or "no" where a bool
belongs, must not pass for one of the choices.
"""

from __future__ import annotations

import enum
import functools
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import fields
from numbers import Real
from typing import Any, TypeVar

E = TypeVar("E", bound=enum.Enum)
# Takes the name of a field, for the error, and a value; returns what the field is to hold, or raises ValueError.
Check = Callable[[str, Any], Any]

_SHOWN = 40  # characters of a wrong word


def as_member(kind: type[E], value: object, name: str) -> E:
    """Returns the member of an enum that a value is, or that a word names, by its value or its name, in any case.

    `name` is what the error calls it. Raises ValueError, which lists the words, for anything else.
    """
    if isinstance(value, kind):
        return value
    if isinstance(value, str):
        found = _members_by_word(kind).get(_folded(value))
        if found is not None:
            return typing.cast(E, found)
        shown = _shown(value)
    elif issubclass(kind, int) and type(value) is int and value in kind._value2member_map_:
        return kind(value)
    else:
        shown = _shown(value)
    words = ", ".join(member.value if isinstance(member.value, str) else member.name for member in kind)
    raise ValueError(f"{name} is {shown}, it must be one of {words}")


def at_least(settings: Any, least: float, *names: str) -> None:
    """Checks that fields of numbers, those that are not None, are finite and not below a bound.

    Raises ValueError, naming the field, for one that is.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and not least <= value < math.inf:
            raise ValueError(f"{name} is {value!r}, it must be at least {least:g}")


def above_zero(settings: Any, *names: str) -> None:
    """Checks that fields of numbers, those that are not None, are finite and above 0.

    Raises ValueError, naming the field, for one that is not.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} is {value!r}, it must be a number above 0")


def as_flag(value: object, name: str) -> bool:
    """Returns a bool as it is; raises ValueError for all else, "no" and 0 among them."""
    if value is True or value is False:
        return value
    raise ValueError(f"{name} is {_shown(value)}, it must be True or False")


def check_fields(settings: Any, error: Callable[[str], Exception] = ValueError) -> None:
    """Checks every field of a frozen dataclass against its annotation, for its `__post_init__`.

    Words become members of enums, iterables become tuples and frozensets, buffers bytes; a single string is no
    tuple of strings. Raises `error`, naming the field, for a value of another type; the error shows no value but
    words.
    """
    for name, plain, check in _checks_of(settings.__class__):
        value = getattr(settings, name)
        if value.__class__ in plain:
            continue
        try:
            found = check(name, value)
        except ValueError as wrong:
            raise error(str(wrong)) from None
        if found is not value:
            object.__setattr__(settings, name, found)


@functools.cache
def _checks_of(kind: Any) -> tuple[tuple[str, frozenset[type], Check], ...]:
    """By field that can be checked: the classes that need no look, and the check."""
    hints = typing.get_type_hints(kind)
    found = []
    for one in fields(kind):  # of a class that is a dataclass
        hint = hints[one.name]
        check = _check_of(hint)
        if check is not None:
            found.append((one.name, _plain(hint), check))
    return tuple(found)


@functools.cache
def _members_by_word(kind: type[enum.Enum]) -> dict[str, enum.Enum]:
    words = {_folded(name): member for name, member in kind.__members__.items()}
    return words | {_folded(member.value): member for member in kind if isinstance(member.value, str)}


def _folded(word: str) -> str:
    return word.strip().lower().replace("-", "_")


def _plain(hint: Any) -> frozenset[type]:
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    return frozenset(option for option in options if isinstance(option, type) and _needs_no_look(option))


def _needs_no_look(kind: type) -> bool:
    """Whether the very class is enough: not of numbers that may be NaN, nor of what only its members tell."""
    return kind not in (object, float) and not getattr(kind, "_is_protocol", False) and typing.get_origin(kind) is None


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _check_of(hint: Any) -> Check | None:
    """The check of an annotation, None for one that says nothing that can be checked."""
    origin = typing.get_origin(hint)
    if hint is types.NoneType:
        return _exactly(types.NoneType)
    if _is_union(hint):
        return _any_of([_check_of(option) for option in typing.get_args(hint)])
    if origin is tuple:
        return _tuple_of(typing.get_args(hint))
    if origin is frozenset:
        return _many(frozenset, _check_of(typing.get_args(hint)[0]))
    if origin in (dict, Mapping):
        return _mapping_of(typing.get_args(hint))
    if origin is Callable:
        return _is_callable
    if isinstance(hint, type):
        return _check_of_class(hint)
    return None


def _check_of_class(kind: type) -> Check | None:
    if issubclass(kind, enum.Enum):
        return lambda name, value: as_member(kind, value, name)
    by_kind: dict[type, Check | None] = {
        object: None,
        bool: lambda name, value: as_flag(value, name),
        int: _whole_number,
        float: _number,
        bytes: _bytes,
    }
    if kind in by_kind:
        return by_kind[kind]
    if getattr(kind, "_is_protocol", False):
        return _has_members(kind)
    return _exactly(kind)


def _wrong(name: str, value: object, wanted: str) -> ValueError:
    return ValueError(f"{name} is {_type_of(value)}, it must be {wanted}")


def _shown(value: object) -> str:
    """A wrong value where a word or number belongs; elsewhere only its type is shown, as it may be a secret."""
    if isinstance(value, str):
        return repr(value[:_SHOWN])
    return repr(value) if isinstance(value, int | float) else _type_of(value)


def _type_of(value: object) -> str:
    return "None" if value is None else _article(type(value).__name__)


def _article(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def _exactly(kind: type) -> Check:
    wanted = _article(kind.__name__)

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, kind):
            raise _wrong(name, value, wanted)
        return value

    return check


def _has_members(protocol: type) -> Check:
    wanted = [name for name in {**vars(protocol), **protocol.__annotations__} if not name.startswith("_")]

    def check(name: str, value: Any) -> Any:
        if isinstance(value, type):  # has the members, too
            raise ValueError(f"{name} is the class {value.__name__}, it must be an instance: {value.__name__}(…)")
        if not all(hasattr(value, member) for member in wanted):
            raise _wrong(name, value, _article(protocol.__name__))
        return value

    return check


def _whole_number(name: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise ValueError(f"{name} is {_shown(value)}, it must be a whole number")
    return int(value)


def _number(name: str, value: Any) -> Any:
    if value.__class__ is float and value == value:  # NaN compares with nothing
        return value
    if isinstance(value, bool) or not isinstance(value, Real) or value != value:
        raise ValueError(f"{name} is {_shown(value)}, it must be a number")
    return value


def _bytes(name: str, value: Any) -> bytes:
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if not isinstance(value, bytes):
        raise _wrong(name, value, "bytes")
    return value


def _is_callable(name: str, value: Any) -> Any:
    if not callable(value):
        raise _wrong(name, value, "something to call")
    return value


def _any_of(checks: list[Check | None]) -> Check | None:
    if None in checks:
        return None
    some = typing.cast("list[Check]", checks)

    def check(name: str, value: Any) -> Any:
        wrong = []
        for one in some:
            try:
                return one(name, value)
            except ValueError as error:
                wrong.append(str(error))
        # The same beginning, and what each of the kinds wants.
        start = wrong[0].rpartition(", it must be ")[0]
        raise ValueError(f"{start}, it must be {' or '.join(one.rpartition(', it must be ')[2] for one in wrong)}")

    return check


def _tuple_of(arguments: tuple[Any, ...]) -> Check:
    if len(arguments) == 2 and arguments[1] is ...:
        return _many(tuple, _check_of(arguments[0]))
    checks = [_check_of(one) for one in arguments]

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, tuple | list) or len(value) != len(checks):
            raise _wrong(name, value, f"a tuple of {len(checks)}")
        return _same(value, tuple(one if of is None else of(name, one) for of, one in zip(checks, value, strict=True)))

    return check


def _many(kind: type, of: Check | None) -> Check:
    """Many of a kind: in any iterable that is no string, and in one with an order where order counts."""

    def check(name: str, value: Any) -> Any:
        if value.__class__ is kind and not value:
            return value
        unfit = isinstance(value, str | bytes | bytearray | memoryview | Mapping) or not isinstance(value, Iterable)
        if unfit or (kind is tuple and isinstance(value, Set)):
            raise _wrong(name, value, _article(kind.__name__))
        return _same(value, kind(one if of is None else of(f"one of {name}", one) for one in value))

    return check


def _same(value: Any, made: Any) -> Any:
    """The value itself where the checks changed nothing, so that what was shared stays so."""
    same = type(value) is type(made) and len(value) == len(made)
    return value if same and all(one is other for one, other in zip(value, made, strict=True)) else made


def _mapping_of(arguments: tuple[Any, ...]) -> Check:
    keys, values = (_check_of(one) for one in arguments)

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _wrong(name, value, "a dict")
        for key, one in value.items():
            if keys is not None:
                keys(f"a key of {name}", key)
            if values is not None:
                values(f"{name} of {key!r}" if isinstance(key, str) else name, one)
        return value

    return check
