"""A machine as test scripts see it."""

from __future__ import annotations

import base64
import shlex
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from .client import Answer, Client
from .errors import MachineError, RequestedAssertionFailed, ServerError, WaitTimedOut
from .log import ConsoleText, Logger
from .moments import Timeout, microseconds, seconds

#: What `execute` returns in the place of a status, or of status and output, that was not wanted.
NO_STATUS = -1
NO_OUTPUT = -2

_SHOWN_ERRORS = 40


class MachineBase:
    """Its life, and commands in it."""

    def __init__(
        self,
        name: str,
        source: str,
        client: Client,
        logger: Logger,
        out_dir: Path,
        options: Optional[List[str]] = None,
    ) -> None:
        self.name = name
        self.source = source
        self.out_dir = out_dir
        self.logger = logger
        #: What other commands of nsrun know it by, once it was made.
        self.host_name = name
        #: Addresses of machines, by their names, that it is to know.
        self.hosts: Dict[str, List[str]] = {}
        self.console_text = ConsoleText()
        self._client = client
        self._options = list(options or [])
        self._created = False
        self._booted = False
        self._before_commands: List[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<machine {self.name}>"

    # What is said of it.

    def log(self, message: str) -> None:
        """Writes a message to the log, in the machine's name."""
        self.logger.log(message, self.name)

    @contextmanager
    def nested(self, message: str, attrs: Optional[Dict[str, str]] = None) -> Iterator[None]:
        """What is done within, in the machine's name, and how long it takes."""
        del attrs
        with self.logger.nested(message, self.name):
            yield

    # Its life.

    @property
    def booted(self) -> bool:
        """Whether it was started, and not shut down since."""
        return self._booted

    def is_up(self) -> bool:
        """Whether it runs."""
        return self._created and self._life()["phase"] != "down"

    def create(self) -> None:
        """Has its image imported if that is an archive, and starts nothing."""
        if not self._created:
            hosts = {name: given for name, given in self.hosts.items() if given}
            created = self._request(
                "create", source=self.source, options=self._options, hosts=hosts
            )
            self.host_name = str(created["host_name"])
            self._created = True

    def start(self, allow_reboot: bool = False) -> None:
        """Starts it, if it does not run, and does not wait. A reboot is always allowed."""
        del allow_reboot
        self.create()
        if self._booted and self.is_up():
            return
        self.log("starts")
        self._request("start")
        self._booted = True

    def connect(self) -> None:
        """Waits until commands can be run in it."""
        self._ensure_started()
        self._request("wait-up")

    def wait_until_ready(self, timeout: Timeout = 900) -> None:
        """Waits until its system says that it has started."""
        self._ensure_started()
        with self.nested("waits until the system has started"):
            self._wait("wait-ready", timeout, "has not started")

    def shutdown(self, timeout: Timeout = 900) -> None:
        """Has it power off, and waits for its end."""
        if not self._booted or not self.is_up():
            self._booted = False
            return
        with self.nested("shuts down"):
            self._request("power-off")
            self._wait_down(timeout)

    def crash(self) -> None:
        """Ends all its processes at once."""
        if not self._booted or not self.is_up():
            self._booted = False
            return
        self.log("crashes")
        self._request("crash")
        self._wait_down(60)

    release = crash

    def reboot(self, timeout: Timeout = 900) -> None:
        """Has it reboot, and waits until it boots anew."""
        self._ensure_started()
        self.connect()
        with self.nested("reboots"):
            boots = self._life()["boots"] + 1
            self._request("reboot")
            self._wait("wait-boot", timeout, "has not rebooted", boots=boots)

    def wait_for_shutdown(self, timeout: Timeout = None) -> None:
        """Waits until it has ended by itself."""
        if not self._booted:
            return
        with self.nested("waits for its end"):
            self._wait_down(timeout)

    def _wait_down(self, timeout: Timeout) -> None:
        self._wait("wait-down", timeout, "has not ended")
        self._booted = False

    def _life(self) -> Dict[str, Any]:
        life: Dict[str, Any] = self._request("status")["life"]
        return life

    def _ensure_started(self) -> None:
        if not self._booted:
            self.start()

    # Commands.

    def execute(
        self,
        command: str,
        check_return: bool = True,
        check_output: bool = True,
        timeout: Timeout = 900,
    ) -> Tuple[int, str]:
        """Runs a command of a shell; returns its exit status and its output.

        It is in bash's strict mode (`set -euo pipefail`), in the environment of a login. What it
        leaves running goes on; its output is waited for until nobody has it open. After the timeout
        it is killed, and its status is 124. Without `check_output` it is only started.
        """
        if not check_output:
            self._run(command, timeout, detach=True)
            return (NO_OUTPUT, "")
        answer = self._run(command, timeout)
        status, output = int(answer["status"]), _text(answer, "stdout")
        return (status if check_return else NO_STATUS, output)

    def _attempt(self, command: str, timeout: Timeout) -> Tuple[Optional[int], str]:
        """The same; the status is None if it was killed after the timeout, or never begun."""
        try:
            answer = self._run(command, timeout)
        except ServerError as error:
            if error.kind != "timeout":
                raise
            return (None, "")
        return (None if answer["timed_out"] else int(answer["status"]), _text(answer, "stdout"))

    def _run(self, command: str, timeout: Timeout, detach: bool = False) -> Answer:
        self._run_callbacks()
        self._ensure_started()
        limit = microseconds(timeout)
        answer = self._request("execute", command=command, timeout_usec=limit, detach=detach)
        if not detach:
            self._show_errors(answer)
        return answer

    def succeed(self, *commands: str, timeout: Timeout = None) -> str:
        """Runs commands that have to end with 0; returns what they have written, one after the other."""
        output = ""
        for command in commands:
            with self.nested(f"succeeds: {command}"):
                status, out = self.execute(command, timeout=timeout)
                if status != 0:
                    raise self._unexpected(f"`{command}` failed with status {status}", out)
            output += out
        return output

    def fail(self, *commands: str, timeout: Timeout = None) -> str:
        """Runs commands that must not end with 0; returns what they have written."""
        output = ""
        for command in commands:
            with self.nested(f"fails: {command}"):
                status, out = self.execute(command, timeout=timeout)
                if status == 0:
                    raise self._unexpected(f"`{command}` succeeded unexpectedly", out)
            output += out
        return output

    def sleep(self, secs: int) -> None:
        """Sleeps, by the machine's clock."""
        self.succeed(f"sleep {shlex.quote(str(secs))}")

    def _unexpected(self, what: str, output: str) -> RequestedAssertionFailed:
        if output:
            self.log(f"output: {output}")
        return RequestedAssertionFailed(f"{self.name}: {what}")

    def _show_errors(self, answer: Answer) -> None:
        lines = _text(answer, "stderr").splitlines()
        if len(lines) > _SHOWN_ERRORS:
            self.log(f"({len(lines) - _SHOWN_ERRORS} lines of errors before these)")
        for line in lines[-_SHOWN_ERRORS:]:
            self.log(f"| {line}")
        lost = int(answer["stdout_lost_bytes"])
        if lost:
            kept = len(base64.b64decode(answer["stdout"]))
            raise MachineError(
                f"{self.name}: the command wrote {kept + lost} bytes, and no more than {kept} are taken"
                " (hint: redirect its output to a file)"
            )

    # What is checked before each command.

    @contextmanager
    def _checked(self, callback: Callable[[], None]) -> Iterator[None]:
        self._before_commands.append(callback)
        try:
            yield
        finally:
            self._before_commands.remove(callback)

    def _at_terminal(self, *words: str) -> None:
        self._client.run(*words)

    def _run_callbacks(self) -> None:
        for callback in list(self._before_commands):
            callback()

    # Requests.

    def _request(self, operation: str, **arguments: Any) -> Answer:
        try:
            return self._client.request(operation, machine=self.name, **arguments)
        except ServerError as error:
            if error.kind == "down":
                # The next command would start it.
                self._booted = False
            raise

    def _wait(self, operation: str, timeout: Timeout, what: str, **arguments: Any) -> Answer:
        limit = microseconds(timeout)
        try:
            return self._request(operation, timeout_usec=limit, **arguments)
        except ServerError as error:
            if error.kind != "timeout":
                raise
            raise self._timed_out(what, timeout) from None

    def _timed_out(self, what: str, timeout: Timeout) -> WaitTimedOut:
        return WaitTimedOut(f"{self.name}: {what} in {seconds(timeout)} s")


def _text(answer: Answer, stream: str) -> str:
    return base64.b64decode(answer[stream]).decode("utf-8", "replace")
