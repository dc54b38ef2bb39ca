"""Tests of NixOS and other systemd images in containers that nsrun boots."""

from .driver import Driver, Machine
from .errors import (
    MachineError,
    NotInAContainer,
    RequestedAssertionFailed,
    ServerError,
    WaitTimedOut,
)
from .log import Logger
from .moments import Timeout, retry

__all__ = [
    "Driver",
    "Logger",
    "Machine",
    "MachineError",
    "NotInAContainer",
    "RequestedAssertionFailed",
    "ServerError",
    "Timeout",
    "WaitTimedOut",
    "retry",
]
