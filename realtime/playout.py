"""What a client can have heard of a reply by now, from what was sent and when. Pure.

The model: the client plays from the moment the first sound arrives, at the rate of the audio, and
stalls whenever it has nothing left. It cannot have heard more than that; a client that buffers has
heard a little less, and says so itself with `conversation.item.truncate`. Times are seconds on any
one clock, passed in by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Playout:
    """One response's playback, modelled. Samples are wire samples at `rate_hz`."""

    rate_hz: int
    sent: int = 0
    _since_s: float = 0.0
    _heard: float = 0.0

    def add(self, samples: int, now_s: float) -> None:
        """Audio was sent at this moment."""
        self._heard, self._since_s = self._heard_at(now_s), now_s
        self.sent += samples

    def heard(self, now_s: float) -> int:
        """Samples that can have been heard by now."""
        return int(self._heard_at(now_s))

    def ahead_s(self, now_s: float) -> float:
        """How much audio the client holds that it has not played yet, in seconds."""
        return (self.sent - self._heard_at(now_s)) / self.rate_hz

    def quiet_s(self, now_s: float) -> float:
        """Since when the client has had nothing to play, in seconds."""
        return max(0.0, now_s - self._since_s - (self.sent - self._heard) / self.rate_hz)

    def stop(self, now_s: float) -> int:
        """Playback ends here, as at an interruption; returns the samples heard."""
        self.sent = self.heard(now_s)
        self._heard, self._since_s = float(self.sent), now_s
        return self.sent

    def _heard_at(self, now_s: float) -> float:
        return min(float(self.sent), self._heard + (now_s - self._since_s) * self.rate_hz)


@dataclass(frozen=True)
class Pacing:
    """How far ahead of the modelled playback live audio is sent, in seconds of audio.

    The client must have enough to ride out a late packet, and no more than can be called back: what
    was sent and is not played at an interruption is stale.
    """

    at_once_s: float = 0.3
    ahead_s: float = 0.5

    def wait_s(self, playout: Playout, samples: int, now_s: float) -> float:
        """Seconds until this much more may be sent; zero for the first `at_once_s`."""
        if playout.sent + samples <= self.at_once_s * playout.rate_hz:
            return 0.0
        return max(0.0, playout.ahead_s(now_s) + samples / playout.rate_hz - self.ahead_s)
