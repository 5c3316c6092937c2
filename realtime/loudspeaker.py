"""What a client's loudspeaker may have played lately, in words, for whatever was heard meanwhile.

It goes by the model of the client's playback. Where all that is sent is taken as heard, nothing is
known of when it sounded, and nothing is told.
"""

from __future__ import annotations

import asyncio
from collections import deque

from realtime.response import Response
from realtime.self_hearing import PATH_MS, TAIL_MS, played


class Loudspeaker:
    """`plays` for each spoken response. `modelled`: its playback is, so that times are known."""

    def __init__(self, *, modelled: bool) -> None:
        self._modelled = modelled
        self._lately: deque[Response] = deque(maxlen=2)

    def plays(self, response: Response) -> None:
        """A response begins, of which the client will play what it is sent."""
        self._lately.append(response)

    def said(self, begun_s: float, ended_s: float) -> str:
        """The words that a caller may have played while something was heard, which began and ended
        so many seconds ago; nothing where it began when nothing was played."""
        now_s = asyncio.get_running_loop().time()
        if not self._modelled:
            return ""
        said = []
        for response in self._lately:
            playout = response.playout
            quiet_s = playout.quiet_s(now_s)
            if begun_s < quiet_s - TAIL_MS / 1000:
                continue
            heard, rate = playout.heard(now_s), playout.rate_hz
            first = heard - int((begun_s + PATH_MS / 1000 - quiet_s) * rate)
            last = heard - int(max(0.0, ended_s - quiet_s) * rate)
            said.append(played(response.item.pieces, first, last + rate * TAIL_MS // 1000))
        return " ".join(words for words in said if words)
