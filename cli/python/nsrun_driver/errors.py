"""What can go wrong, as test scripts see it."""

from __future__ import annotations

from typing import Optional


class RequestedAssertionFailed(AssertionError):
    """What the script asked for is not so."""


class WaitTimedOut(RequestedAssertionFailed):
    """What the script waited for has not come in time."""


class MachineError(Exception):
    """A machine cannot do what the script needs."""


class NotInAContainer(MachineError):
    """Something takes a screen, a keyboard or a hypervisor, and a container has none."""

    def __init__(self, method: str) -> None:
        super().__init__(f"{method}() is not in a container: it has no screen, keyboard or hypervisor")


class ServerError(MachineError):
    """`nsrun serve` did not carry out a request."""

    def __init__(self, kind: str, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message if hint is None else f"{message} (hint: {hint})")
        self.kind = kind
