"""Conditions that have to hold while something else is done."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Callable, Iterable, Optional, Type

from .errors import RequestedAssertionFailed
from .log import Logger
from .machine import MachineBase
from .moments import Timeout, retry


class PollingCondition:
    """A condition; as a context manager, it is checked before each command, and raises if it is not so."""

    def __init__(
        self,
        condition: Callable[[], Optional[bool]],
        machines: Callable[[], Iterable[MachineBase]],
        logger: Logger,
        seconds_interval: float = 2.0,
        description: Optional[str] = None,
    ) -> None:
        text = description or condition.__doc__ or condition.__name__
        self.description = " ".join(text.split())
        self.seconds_interval = seconds_interval
        self._condition = condition
        self._machines = machines
        self._logger = logger
        self._checked_at: Optional[float] = None
        # A condition runs commands, before which it is not to be checked again.
        self._checking = threading.local()
        self._entered: Optional[ExitStack] = None

    def check(self, force: bool = False) -> bool:
        """Whether it holds, as far as was seen within the interval."""
        if getattr(self._checking, "now", False):
            return True
        now = time.monotonic()
        recent = self._checked_at is not None and now < self._checked_at + self.seconds_interval
        if recent and not force:
            return True
        self._checking.now = True
        try:
            # One that says nothing holds, as long as it does not raise.
            holds = self._condition() is not False
        except Exception as error:
            self._logger.log(f"condition {self.description!r}: {error}")
            holds = False
        finally:
            self._checking.now = False
        self._checked_at = time.monotonic()
        return holds

    def maybe_raise(self) -> None:
        """Raises if it does not hold."""
        if not self.check():
            raise RequestedAssertionFailed(f"condition does not hold: {self.description}")

    def wait(self, timeout: Timeout = 900) -> None:
        """Waits until it holds."""
        what = f"condition {self.description!r}"
        with self._logger.nested(f"waits for {what}"):
            retry(lambda _last: self.check(force=True), timeout, what=what)

    def __enter__(self) -> PollingCondition:
        self._checked_at = None
        with ExitStack() as stack:
            for machine in self._machines():
                stack.enter_context(machine._checked(self.maybe_raise))
            self._entered = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._entered is not None:
            self._entered.close()
            self._entered = None
