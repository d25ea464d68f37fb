"""Calls what an application gave us, a function or a coroutine function: what it raises is logged and ends nothing."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


def call_back(
    keep: Callable[[asyncio.Task[None]], None],
    callback: Callable[..., _Result | Awaitable[_Result]],
    *arguments: Any,
    then: Callable[[_Result], None] | None = None,
    failed: Callable[[], None] | None = None,
) -> None:
    """Calls `callback`, at once; what it returns awaitable is awaited by a task, which `keep` keeps.

    `then` gets the result. When the callback raises, or nothing can be made of its result, the error is logged, and
    `failed` does what is left to do, as answering 500; whoever called us never sees it, as it would end a connection
    that others share.
    """
    try:
        result = _called(callback, *arguments)
        if inspect.isawaitable(result):
            keep(asyncio.ensure_future(_finish(callback, result, then, failed)))
        elif then is not None:
            then(result)
    except (Exception, asyncio.CancelledError):  # one that asked a cancelled future, say: nobody has cancelled us here
        _report(callback)
        if failed is not None:
            failed()


async def _finish(
    callback: Callable[..., object],
    result: Awaitable[_Result],
    then: Callable[[_Result], None] | None,
    failed: Callable[[], None] | None,
) -> None:
    try:
        found = await result
        if then is not None:
            then(found)
    except (Exception, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise
        _report(callback)
        if failed is not None:
            failed()


async def result_of(callback: Callable[..., _Result | Awaitable[_Result]], *arguments: Any) -> _Result:
    """Returns what a callback returns, awaited where it is awaitable; raises what it raises."""
    result = _called(callback, *arguments)
    if inspect.isawaitable(result):
        found: _Result = await result
        return found
    return result


def _called(callback: Callable[..., _Result | Awaitable[_Result]], *arguments: object) -> _Result | Awaitable[_Result]:
    """Calls a callback; raises TypeError for a generator function, none of which has run then."""
    result = callback(*arguments)
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError(
            "it has a yield, so that calling it does nothing: a callback is a plain or a coroutine function"
        )
    return result


def must_not_be_async(callback: object, name: str) -> None:
    """Raises ValueError for a coroutine function where the answer is needed at once: a coroutine counts as true."""
    if inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(getattr(callback, "__call__", None)):  # noqa: B004
        raise ValueError(f"{name} is asked for an answer at once, it cannot be a coroutine function")


def _report(callback: Callable[..., object]) -> None:
    _log.exception("an error in %s", getattr(callback, "__qualname__", None) or type(callback).__qualname__)
