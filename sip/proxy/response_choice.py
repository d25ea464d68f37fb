"""Which of the final responses to a forked request goes upstream (RFC 3261 16.7 steps 6 and 7, RFC 4320)."""

from __future__ import annotations

from collections.abc import Sequence

from ..message.headers import Headers
from ..message.message import Request, Response

# Those that tell how the request may succeed when it is made anew, best first.
_INFORMATIVE = (401, 407, 415, 420, 484)
_CHALLENGES = (401, 407)


def choose_response(request: Request, responses: Sequence[Response], *, cancelled: bool = False) -> Response | None:
    """Returns the response to send of those that the branches came to, in the order in which they came.

    One of 6xx if there is any, else of the lowest class, there first those that say how to try again. A lone 503
    becomes 500, since it speaks of a server that only we asked; challenges are gathered from all 401 and 407. With no
    responses, 487 when the request was `cancelled` and else 408. None when nothing may be sent: 408 to a non-INVITE
    request (RFC 4320 4.2).
    """
    if request.method != "INVITE":
        responses = [one for one in responses if one.status != 408]
        if not responses:
            return None
    if not responses:
        return request.create_response(487 if cancelled else 408)
    best = min(responses, key=_rank)
    if best.status == 503:
        return request.create_response(500)
    if best.status in _CHALLENGES:
        return _with_all_challenges(best, responses)
    return best


def _rank(response: Response) -> tuple[int, int]:
    status = response.status
    if status >= 600:
        return 0, 0
    if status in _INFORMATIVE:
        return status // 100, _INFORMATIVE.index(status)
    # 408 and 503 tell least of why it failed.
    return status // 100, 20 if status in (408, 503) else 10


def _with_all_challenges(best: Response, responses: Sequence[Response]) -> Response:
    headers: Headers | None = None
    for other in responses:
        if other is best or other.status not in _CHALLENGES:
            continue
        for name in ("WWW-Authenticate", "Proxy-Authenticate"):
            for value in other.headers.get_all(name):
                headers = best.headers.copy() if headers is None else headers
                headers.add(name, value)
    return best if headers is None else Response(best.status, best.reason, headers, best.body)
