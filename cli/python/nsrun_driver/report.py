"""What became of a test, for programs: JUnit's XML, TAP, and lines of JSON."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, TextIO
from xml.etree import ElementTree

from .log import plain


@dataclass
class Case:
    """A subtest, or what of the script is in none."""

    name: str
    begun: float = field(default_factory=time.monotonic)
    took: float = 0.0
    failure: Optional[str] = None


class Report:
    """The cases of a script, in the order in which they began."""

    def __init__(self, name: str, lines: Optional[Path] = None) -> None:
        self.name = name
        self.cases: List[Case] = []
        self.output: List[str] = []
        self._begun = time.monotonic()
        # Consoles speak in a thread of their own.
        self._lock = threading.Lock()
        self._lines: Optional[TextIO] = None
        if lines is not None:
            self._lines = lines.open("w", encoding="utf-8")

    def begins(self, name: str) -> Case:
        """A case has begun."""
        case = Case(name)
        self.cases.append(case)
        self._event("begins", case=name)
        return case

    def ends(self, case: Case, failure: Optional[str] = None) -> None:
        """It has ended, and failed if there is a failure."""
        case.took = time.monotonic() - case.begun
        case.failure = failure
        told = {} if failure is None else {"failure": failure}
        result = "passed" if failure is None else "failed"
        self._event("ends", case=case.name, result=result, took_usec=_usec(case.took), **told)

    def says(self, text: str) -> None:
        """Something was written to the log."""
        self.output.append(text)
        self._event("log", text=text)

    def close(self) -> None:
        """The script has ended."""
        failed = sum(case.failure is not None for case in self.cases)
        self._event("done", cases=len(self.cases), failed=failed)
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    def _event(self, event: str, **values: Any) -> None:
        if self._lines is None:
            return
        at = _usec(time.monotonic() - self._begun)
        line: Dict[str, Any] = {"event": event, "at_usec": at, **values}
        with self._lock:
            self._lines.write(json.dumps(line) + "\n")
            self._lines.flush()

    def write_junit(self, path: Path) -> None:
        """Writes it as CI systems read it."""
        failed = [case for case in self.cases if case.failure is not None]
        suite = ElementTree.Element(
            "testsuite",
            name=self.name,
            tests=str(len(self.cases)),
            failures=str(len(failed)),
            errors="0",
            time=f"{time.monotonic() - self._begun:.3f}",
        )
        for case in self.cases:
            element = ElementTree.SubElement(
                suite, "testcase", classname=self.name, name=plain(case.name), time=f"{case.took:.3f}"
            )
            if case.failure is not None:
                first = plain(case.failure.splitlines()[0] if case.failure else "")
                told = ElementTree.SubElement(element, "failure", message=first)
                told.text = plain(case.failure)
        ElementTree.SubElement(suite, "system-out").text = "\n".join(self.output)
        suites = ElementTree.Element("testsuites")
        suites.append(suite)
        ElementTree.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)

    def write_tap(self, path: Path) -> None:
        """Writes it by the Test Anything Protocol, version 13."""
        lines = ["TAP version 13", f"1..{len(self.cases)}"]
        for number, case in enumerate(self.cases, 1):
            word = "ok" if case.failure is None else "not ok"
            name = " ".join(plain(case.name).replace("#", "\\#").split())
            lines.append(f"{word} {number} - {name}")
            lines.extend(f"# {plain(line)}" for line in (case.failure or "").splitlines())
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _usec(seconds: float) -> int:
    return round(seconds * 1_000_000)
