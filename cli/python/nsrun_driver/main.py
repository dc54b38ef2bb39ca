"""What `nsrun test` runs."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from .driver import Driver
from .errors import MachineError
from .log import Logger
from .report import Report
from .script import Script, syntax, what

PASSED, FAILED, USAGE, BAD_SCRIPT = 0, 1, 2, 6


def arguments() -> argparse.ArgumentParser:
    """The command line. `nsrun test` describes it."""
    parser = argparse.ArgumentParser(prog="nsrun test")
    parser.add_argument("script", type=Path)
    parser.add_argument("--machine", action="append", default=[])
    parser.add_argument("--nsrun", action="append", required=True)
    parser.add_argument("--option", action="append", default=[])
    parser.add_argument("--output-directory", type=Path, default=Path("."))
    parser.add_argument("--global-timeout", type=float)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--vlan", action="append", type=int, default=[])
    parser.add_argument("--quiet-consoles", action="store_true")
    parser.add_argument("--junit-xml", type=Path)
    parser.add_argument("--tap", type=Path)
    parser.add_argument("--json-lines", type=Path)
    return parser


def machines(given: Sequence[str]) -> Dict[str, str]:
    """The machines `NAME=SOURCE`; one without a name is called `machine`."""
    found: Dict[str, str] = {}
    for word in given:
        name, source = _split(word)
        if name in found:
            raise MachineError(f"there are two machines {name}")
        found[name] = source
    return found


def _split(word: str) -> Tuple[str, str]:
    name, equals, source = word.partition("=")
    return (name, source) if equals and "/" not in name else ("machine", word)


class Overtime(BaseException):
    """The time for all of the script is up."""


@contextmanager
def _limited(limit: Optional[float]) -> Iterator[None]:
    """Raises `Overtime` in what is done within, wherever it is."""

    def is_up(_signal: int, _frame: object) -> None:
        raise Overtime(f"the test took more than {limit:g} s")

    before = signal.signal(signal.SIGALRM, is_up)
    signal.setitimer(signal.ITIMER_REAL, limit or 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(words: Optional[List[str]] = None) -> int:
    """Runs the script; returns the exit status."""
    given = arguments().parse_args(words)
    logger = Logger()
    try:
        script = Script(given.script)
    except SyntaxError as error:
        logger.error(f"nsrun: {syntax(error)}")
        return BAD_SCRIPT
    except (OSError, ValueError) as error:
        logger.error(f"nsrun: cannot read {given.script}: {error}")
        return BAD_SCRIPT
    try:
        report = Report(given.script.stem, given.json_lines)
    except OSError as error:
        logger.error(f"nsrun: cannot write {given.json_lines}: {error.strerror}")
        return FAILED
    logger.shows_consoles = not given.quiet_consoles
    logger.report = report
    status = _run_reported(given, script, logger, report)
    report.close()
    try:
        if given.junit_xml is not None:
            report.write_junit(given.junit_xml)
        if given.tap is not None:
            report.write_tap(given.tap)
    except OSError as error:
        logger.error(f"nsrun: cannot write {error.filename}: {error.strerror}")
        return FAILED
    return status


def _run_reported(
    given: argparse.Namespace, script: Script, logger: Logger, report: Report
) -> int:
    # What is in no subtest is a case, too: that of the script.
    case = report.begins(script.path)
    failures: List[str] = []
    try:
        with Driver(
            machines(given.machine),
            nsrun=given.nsrun,
            out_dir=given.output_directory,
            logger=logger,
            options=given.option,
            vlans=given.vlan,
            report=report,
        ) as driver:
            _run_in(driver, script, given.global_timeout, failures)
            if given.keep:
                _wait_for_user(driver)
    except MachineError as error:
        failures.append(str(error))
        logger.error(f"nsrun: {error}")
    except KeyboardInterrupt:
        failures.append("interrupted")
        logger.error("nsrun: interrupted")
    report.ends(case, "\n".join(failures) if failures else None)
    return FAILED if failures else PASSED


def _run_in(
    driver: Driver, script: Script, limit: Optional[float], failures: List[str]
) -> None:
    logger = driver.logger

    def failed(error: BaseException, text: str) -> None:
        lines = [f"  at {line}" for line in script.where(error)]
        failures.append("\n".join([text, *lines]))
        logger.error(f"failed: {failures[-1]}")

    try:
        with _limited(limit), logger.nested(f"runs {script.path}"):
            script.run(driver.symbols())
    except KeyboardInterrupt as error:
        failed(error, "interrupted")
    except SystemExit as error:
        if error.code not in (None, 0):
            failed(error, f"the script has ended itself with {error.code}")
    except BaseException as error:
        failed(error, what(error))
        _show_consoles(driver)


def _show_consoles(driver: Driver) -> None:
    """The last lines of each console, if they were not shown as they came."""
    if driver.logger.shows_consoles:
        return
    for machine in driver.machines:
        for line in machine.get_console_log().splitlines()[-20:]:
            driver.logger.log(f"# {line}", machine.name)


def _wait_for_user(driver: Driver) -> None:
    for machine in driver.machines:
        if machine.is_up():
            driver.logger.log(f"goes on: nsrun shell {machine.host_name}", machine.name)
    driver.logger.log("the machines end when this does: press ^C")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass


def main() -> None:
    """The entry point."""
    sys.exit(run())
