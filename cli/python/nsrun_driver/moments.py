"""Times, deadlines, and trying again."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Callable, Optional, Union

from .errors import WaitTimedOut

#: A time in seconds, or as a timedelta; without one there is no limit.
Timeout = Union[float, int, timedelta, None]

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5


def seconds(timeout: Timeout) -> Optional[float]:
    """The time in seconds."""
    if isinstance(timeout, timedelta):
        return timeout.total_seconds()
    return None if timeout is None else float(timeout)


def microseconds(timeout: Timeout) -> Optional[int]:
    """The time as the protocol has it."""
    amount = seconds(timeout)
    return None if amount is None else max(0, round(amount * 1_000_000))


class Deadline:
    """The end of a time that begins now."""

    def __init__(self, timeout: Timeout) -> None:
        self._begun = time.monotonic()
        self._seconds = seconds(timeout)

    def elapsed(self) -> float:
        """How long it has lasted, in seconds."""
        return time.monotonic() - self._begun

    def left(self) -> Optional[float]:
        """How long it lasts yet, in seconds."""
        return None if self._seconds is None else max(0.0, self._seconds - self.elapsed())

    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.left() == 0.0


def retry(
    fn: Callable[[bool], bool],
    timeout_seconds: Timeout = 900,
    *,
    what: str = "the condition",
) -> None:
    """Calls `fn` until it returns true; the argument tells whether it is the last try.

    The first pauses are short and the later ones longer, so that what comes soon is seen soon.
    """
    deadline = Deadline(timeout_seconds)
    pause = _FIRST_PAUSE
    while not deadline.is_over():
        if fn(False):
            return
        left = deadline.left()
        time.sleep(pause if left is None else min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    if not fn(True):
        raise WaitTimedOut(f"{what} has not come true in {deadline.elapsed():.2f} s")
