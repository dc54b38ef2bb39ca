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
        with Driver(
            machines(given.machine),
            nsrun=given.nsrun,
            out_dir=given.output_directory,
            logger=logger,
            options=given.option,
        ) as driver:
            return _run_in(driver, script, given.global_timeout, given.keep)
    except MachineError as error:
        logger.error(f"nsrun: {error}")
    except KeyboardInterrupt:
        logger.error("nsrun: interrupted")
    return FAILED


def _run_in(driver: Driver, script: Script, limit: Optional[float], keep: bool) -> int:
    status = FAILED
    logger = driver.logger
    try:
        with _limited(limit), logger.nested(f"runs {script.path}"):
            script.run(driver.symbols())
        status = PASSED
    except KeyboardInterrupt as error:
        _tell(logger, script, error, "interrupted")
        return FAILED
    except SystemExit as error:
        status = FAILED if error.code not in (None, 0) else PASSED
    except BaseException as error:
        _tell(logger, script, error, what(error))
        _show_consoles(driver)
    if keep:
        _wait_for_user(driver)
    return status


def _tell(logger: Logger, script: Script, error: BaseException, text: str) -> None:
    logger.error(f"failed: {text}")
    for line in script.where(error):
        logger.error(f"  at {line}")


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
