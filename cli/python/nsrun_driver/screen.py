"""What upstream's machines have and containers do not."""

from __future__ import annotations

from typing import Any, Callable, Type

from .errors import NotInAContainer

NAMES = [
    "dump_tty_contents",
    "get_screen_text",
    "get_screen_text_variants",
    "get_tty_text",
    "get_window_names",
    "screenshot",
    "send_chars",
    "send_key",
    "send_monitor_command",
    "switch_root",
    "wait_for_qmp_event",
    "wait_for_text",
    "wait_for_window",
    "wait_for_x",
    "wait_until_tty_matches",
]


def _refuses(name: str) -> Callable[..., Any]:
    def method(self: Any, *_arguments: Any, **_named: Any) -> Any:
        raise NotInAContainer(name)

    method.__name__ = name
    method.__doc__ = "Raises `NotInAContainer`."
    return method


def refuse_all(machine: Type[Any]) -> None:
    """Gives a class methods of these names that say why they do nothing."""
    for name in NAMES:
        setattr(machine, name, _refuses(name))
