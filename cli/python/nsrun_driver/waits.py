"""Waiting for something in a machine."""

from __future__ import annotations

import shlex
from typing import Callable, Dict, Optional, Tuple

from .errors import RequestedAssertionFailed, ServerError
from .machine import MachineBase
from .moments import Deadline, Timeout, retry, seconds

# How long the try may take that is made when the time is up, in seconds.
_LAST_TRY = 3.0


class Waits(MachineBase):
    """Units, commands, files, ports and the console."""

    # Units.

    def systemctl(self, q: str, user: Optional[str] = None) -> Tuple[int, str]:
        """Runs `systemctl q` of the system, or of the user's own manager."""
        if user is None:
            return self.execute(f"systemctl {q}")
        name = shlex.quote(user)
        as_user = f"export XDG_RUNTIME_DIR=/run/user/$(id -u); systemctl --user {q}"
        return self.execute(f"su -l {name} --shell /bin/sh -c {shlex.quote(as_user)}")

    def wait_for_unit(
        self, unit: str, user: Optional[str] = None, timeout: Timeout = 900
    ) -> None:
        """Waits until a unit is active. Fails at once if it has failed, or if it is inactive and no
        job is queued that could change it."""
        whose = "" if user is None else f" of {user}"
        with self.nested(f"waits for unit {unit}{whose}"):
            if user is not None:
                self._wait_for_users_unit(unit, user, timeout)
                return
            self._run_callbacks()
            self._ensure_started()
            try:
                self._wait("wait-unit", timeout, f"unit {unit} is not active", unit=unit)
            except ServerError as error:
                if error.kind == "unit":
                    self._show_unit_log(unit)
                    raise RequestedAssertionFailed(str(error)) from None
                raise

    def _wait_for_users_unit(self, unit: str, user: str, timeout: Timeout) -> None:
        def is_active(_last: bool) -> bool:
            info = self.get_unit_info(unit, user)
            state = info["ActiveState"]
            if state == "failed":
                raise RequestedAssertionFailed(f"{self.name}: unit {unit} of {user} has failed")
            if state == "inactive" and self._has_no_jobs(user):
                info = self.get_unit_info(unit, user)
                if info["ActiveState"] == "inactive":
                    raise RequestedAssertionFailed(
                        f"{self.name}: unit {unit} of {user} is inactive and there are no pending jobs"
                    )
            return state == "active"

        self._retry(is_active, timeout, f"unit {unit} of {user}")

    def _has_no_jobs(self, user: str) -> bool:
        status, jobs = self.systemctl("list-jobs --full 2>&1", user)
        return status == 0 and "No jobs" in jobs

    def _show_unit_log(self, unit: str) -> None:
        try:
            name = shlex.quote(unit)
            _, log = self.execute(f"journalctl --no-pager -n 20 -o cat -u {name} 2>&1", timeout=10)
        except Exception as error:  # What is to be told is why the unit is not active.
            log = str(error)
        self.log(f"last lines of the journal of {unit}:\n{log}")

    def get_unit_info(self, unit: str, user: Optional[str] = None) -> Dict[str, str]:
        """All properties of a unit."""
        status, lines = self.systemctl(f"--no-pager show {shlex.quote(unit)}", user)
        if status != 0:
            raise RequestedAssertionFailed(
                f"{self.name}: properties of unit {unit} cannot be read (status {status})"
            )
        pairs = (line.split("=", 1) for line in lines.splitlines() if "=" in line)
        return {key: value for key, value in pairs}

    def get_unit_property(self, unit: str, property: str, user: Optional[str] = None) -> str:
        """One property of a unit."""
        info = self.get_unit_info(unit, user)
        if property not in info:
            raise RequestedAssertionFailed(f"{self.name}: unit {unit} has no property {property}")
        return info[property]

    def require_unit_state(self, unit: str, require_state: str = "active") -> None:
        """Fails unless a unit is in that state."""
        state = self.get_unit_property(unit, "ActiveState")
        if state != require_state:
            raise RequestedAssertionFailed(
                f"{self.name}: unit {unit} is {state}, and was to be {require_state}"
            )

    def start_job(self, jobname: str, user: Optional[str] = None) -> Tuple[int, str]:
        """Runs `systemctl start`."""
        return self.systemctl(f"start {jobname}", user)

    def stop_job(self, jobname: str, user: Optional[str] = None) -> Tuple[int, str]:
        """Runs `systemctl stop`."""
        return self.systemctl(f"stop {jobname}", user)

    def wait_for_job(self, jobname: str) -> None:
        """As `wait_for_unit`."""
        self.wait_for_unit(jobname)

    # Commands.

    def wait_until_succeeds(
        self,
        command: str,
        timeout: Timeout = 900,
        attempt_timeout: Timeout = None,
    ) -> str:
        """Runs a command until it ends with 0, and returns its output then. A try that lasts longer than
        `attempt_timeout` has failed."""
        return self._repeat(command, lambda status: status == 0, timeout, attempt_timeout, "succeeds")

    def wait_until_fails(
        self,
        command: str,
        timeout: Timeout = 900,
        attempt_timeout: Timeout = None,
    ) -> str:
        """Runs a command until it does not end with 0, and returns its output then."""
        return self._repeat(command, lambda status: status not in (0, None), timeout, attempt_timeout, "fails")

    def _repeat(
        self,
        command: str,
        is_so: Callable[[Optional[int]], bool],
        timeout: Timeout,
        attempt_timeout: Timeout,
        what: str,
    ) -> str:
        output = ""
        deadline = Deadline(timeout)

        def attempt(last: bool) -> bool:
            nonlocal output
            limits = [seconds(attempt_timeout), _LAST_TRY if last else deadline.left()]
            limit = min((limit for limit in limits if limit is not None), default=None)
            status, output = self._attempt(command, limit)
            return is_so(status)

        with self.nested(f"waits until it {what}: {command}"):
            self._retry(attempt, timeout, f"that `{command}` {what}")
        return output

    def _retry(self, fn: Callable[[bool], bool], timeout: Timeout, what: str) -> None:
        retry(fn, timeout, what=f"{self.name}: {what}")

    # The console.

    def wait_for_console_text(self, regex: str, timeout: Timeout = None) -> None:
        """Waits until the console shows what matches the pattern, after what was waited for before."""
        self._ensure_started()
        with self.nested(f"waits for {regex!r} on the console"):
            if not self.console_text.wait_for(regex, seconds(timeout)):
                raise self._timed_out(f"the console has not shown {regex!r}", timeout)

    def get_console_log(self) -> str:
        """All that the console has shown."""
        return self.console_text.text()
