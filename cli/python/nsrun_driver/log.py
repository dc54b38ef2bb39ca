"""Live output: what is done, in which machine, how long it took, and what machines say."""

from __future__ import annotations

import codecs
import os
import re
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, TextIO

if TYPE_CHECKING:
    from .report import Report

_COLOURS = [36, 33, 35, 32, 34, 96, 93, 95]
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """The text without what would change a terminal."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


class Logger:
    """Writes lines to a stream; several threads may."""

    def __init__(self, stream: Optional[TextIO] = None, coloured: Optional[bool] = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        if coloured is None:
            coloured = self._stream.isatty() and not os.environ.get("NO_COLOR")
        self._coloured = coloured
        self._lock = threading.Lock()
        self._colours: Dict[str, int] = {}
        self._depth = threading.local()
        self.shows_consoles = True
        self.report: Optional[Report] = None

    def log(self, message: str, machine: Optional[str] = None) -> None:
        """Writes a message, which may have several lines."""
        indent = "  " * self._level()
        for line in message.splitlines() or [""]:
            text = f"{indent}{plain(line)}"
            self._report(text, machine, ":")
            self._write(f"{self._prefix(machine, ':')}{text}")

    info = warning = error = log

    def log_machinestate(self, message: str) -> None:
        """As `log`."""
        self.log(message)

    def console(self, machine: str, line: str) -> None:
        """Writes a line of a machine's console."""
        self._report(plain(line), machine, "#")
        if self.shows_consoles:
            self._write(f"{self._prefix(machine, '#')}{self._dim(plain(line))}")

    @contextmanager
    def nested(self, message: str, machine: Optional[str] = None) -> Iterator[None]:
        """What is done within, and how long it takes."""
        self.log(message, machine)
        self._depth.level = self._level() + 1
        begun = time.monotonic()
        try:
            yield
        except BaseException:
            self._done(begun, "failed", message, machine)
            raise
        self._done(begun, "done", message, machine)

    def _done(self, begun: float, how: str, message: str, machine: Optional[str]) -> None:
        self._depth.level = self._level() - 1
        first = message.splitlines()[0] if message else ""
        self.log(f"{how} in {time.monotonic() - begun:.2f} s: {first}", machine)

    def _report(self, text: str, machine: Optional[str], mark: str) -> None:
        with self._lock:
            if self.report is not None:
                self.report.says(text if machine is None else f"{machine}{mark} {text}")

    def _level(self) -> int:
        return int(getattr(self._depth, "level", 0))

    def _prefix(self, machine: Optional[str], mark: str) -> str:
        if machine is None:
            return ""
        if not self._coloured:
            return f"{machine}{mark} "
        with self._lock:
            colour = self._colours.setdefault(
                machine, _COLOURS[len(self._colours) % len(_COLOURS)]
            )
        return f"\x1b[{colour}m{machine}{mark}\x1b[0m "

    def _dim(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self._coloured else text

    def _write(self, line: str) -> None:
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, UnicodeEncodeError):
                # Whoever has closed it wants no more of it.
                pass


class ConsoleText:
    """All that a machine's console has shown, and a place in it up to which it was waited for."""

    def __init__(self) -> None:
        self._text = ""
        self._seen = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._more = threading.Condition()

    def add(self, data: bytes) -> List[str]:
        """Takes what was written; returns the lines that are complete now."""
        with self._more:
            begin = self._text.rfind("\n") + 1
            self._text += self._decoder.decode(data).replace("\r", "")
            end = self._text.rfind("\n") + 1
            lines = self._text[begin:end].splitlines() if end > begin else []
            self._more.notify_all()
        return lines

    def text(self) -> str:
        """All of it."""
        with self._more:
            return self._text

    def wait_for(self, pattern: str, left: Optional[float]) -> bool:
        """Waits until the pattern matches what comes after the last match."""
        expression = re.compile(pattern, re.MULTILINE)

        def matches() -> bool:
            found = expression.search(self._text, self._seen)
            if found is not None:
                self._seen = found.end()
            return found is not None

        with self._more:
            return self._more.wait_for(matches, left)
