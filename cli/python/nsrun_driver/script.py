"""Running a test script, and telling where in it something went wrong."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, Dict, List, Optional


class Script:
    """A script that was read and compiled."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, UnicodeDecodeError, SyntaxError or ValueError."""
        self.path = str(path)
        text = path.read_text("utf-8")
        self.code: CodeType = compile(text, self.path, "exec")
        self._lines = text.splitlines()

    def run(self, symbols: Dict[str, Any]) -> None:
        """Runs it; raises what it raises."""
        exec(self.code, {"__name__": "__main__", "__file__": self.path, **symbols})

    def where(self, error: BaseException) -> List[str]:
        """The lines of the script that led to an error, outermost first."""
        return [
            f"{self.path}:{number}: {self._lines[number - 1].strip()}"
            for number in self._numbers(error.__traceback__)
        ]

    def _numbers(self, trace: Optional[TracebackType]) -> List[int]:
        frames = traceback.extract_tb(trace)
        numbers = [frame.lineno or 0 for frame in frames if frame.filename == self.path]
        return [number for number in numbers if 0 < number <= len(self._lines)]


def what(error: BaseException) -> str:
    """An error in words."""
    name, text = type(error).__name__, str(error)
    return f"{name}: {text}" if text else name


def syntax(error: SyntaxError) -> str:
    """A syntax error with its place."""
    line = (error.text or "").strip()
    return f"{error.filename}:{error.lineno}: {error.msg}: {line}"
