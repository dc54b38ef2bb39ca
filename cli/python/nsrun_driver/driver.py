"""All machines of a test, and the functions that its script has."""

from __future__ import annotations

import base64
import os
import re
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence
from unittest import TestCase

from .client import Answer, Client
from .conditions import PollingCondition
from .errors import MachineError
from .files import Files
from .log import Logger
from .moments import retry
from .network import Network
from .report import Report
from .screen import refuse_all
from .waits import Waits


class Machine(Files, Network, Waits):
    """A machine that a test script works with."""


refuse_all(Machine)


class Driver:
    """Owns the server and the machines; when it is closed, nothing of either is left."""

    def __init__(
        self,
        machines: Mapping[str, str],
        *,
        nsrun: Sequence[str] = ("nsrun",),
        out_dir: Path = Path("."),
        logger: Optional[Logger] = None,
        options: Sequence[str] = (),
        vlans: Sequence[int] = (),
        report: Optional[Report] = None,
    ) -> None:
        self.logger = logger if logger is not None else Logger()
        self.report = report if report is not None else Report("test")
        self.logger.report = self.report
        self.out_dir = out_dir
        self.tests = TestCase()
        self.machines: List[Machine] = []
        self._options = list(options)
        self.vlans = list(vlans)
        self._hosts = addresses(machines, self.vlans)
        self._client = Client(nsrun, self._on_event)
        try:
            for name, source in machines.items():
                self._add(name, source)
        except BaseException:
            self.close()
            raise

    def _add(self, name: str, source: str) -> Machine:
        if any(machine.name == name for machine in self.machines):
            raise MachineError(f"there are two machines {name}")
        numbers = {known: number for number, known in enumerate(sorted(self._hosts), 1)}
        vlans = [f"--vlan={vlan}:{numbers[name]}" for vlan in self.vlans if name in numbers]
        options = [*self._options, *vlans]
        machine = Machine(name, source, self._client, self.logger, self.out_dir, options)
        machine.hosts = self._hosts
        self.machines.append(machine)
        machine.create()
        return machine

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all machines at once."""
        self._client.close()

    def _on_event(self, event: Answer) -> None:
        if event["event"] == "warning":
            self.logger.log(f"warning: {event['message']}")
        for machine in self.machines:
            if machine.name != event.get("machine"):
                continue
            if event["event"] == "console":
                for line in machine.console_text.add(base64.b64decode(event["data"])):
                    self.logger.console(machine.name, line)

    # What scripts have.

    def start_all(self) -> None:
        """Starts all machines and waits until commands can be run in each. Tells of all that fail."""
        failures: List[str] = []

        def start(machine: Machine) -> None:
            try:
                machine.start()
                machine.connect()
            except Exception as error:
                failures.append(str(error))

        with self.logger.nested("starts all machines"):
            threads = [threading.Thread(target=start, args=[each]) for each in self.machines]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if failures:
                raise MachineError("; ".join(failures))

    def join_all(self) -> None:
        """Waits until all machines have ended by themselves."""
        with self.logger.nested("waits for the end of all machines"):
            for machine in self.machines:
                machine.wait_for_shutdown()

    @contextmanager
    def subtest(self, name: str) -> Iterator[None]:
        """A part of the test that has a name."""
        case = self.report.begins(name)
        with self.logger.nested(f"subtest: {name}"):
            try:
                yield
            except BaseException as error:
                self.report.ends(case, f"{type(error).__name__}: {error}")
                self.logger.log(f"subtest {name!r} failed: {error}")
                raise
        self.report.ends(case)

    def create_machine(
        self,
        start_command: str,
        *,
        name: Optional[str] = None,
        keep_machine_state: bool = False,
    ) -> Machine:
        """Makes one more machine; in the place of a command, of an image, an archive or a system."""
        del keep_machine_state
        return self._add(name or f"machine{len(self.machines) + 1}", start_command)

    def polling_condition(
        self,
        fun_: Optional[Callable[[], Optional[bool]]] = None,
        *,
        seconds_interval: float = 2.0,
        description: Optional[str] = None,
    ) -> Any:
        """Makes a condition of a function; also as a decorator with arguments."""

        def make(fun: Callable[[], Optional[bool]]) -> PollingCondition:
            return PollingCondition(
                fun, lambda: self.machines, self.logger, seconds_interval, description
            )

        return make if fun_ is None else make(fun_)

    def _show_consoles(self, shown: bool) -> None:
        self.logger.shows_consoles = shown

    def symbols(self) -> Dict[str, Any]:
        """The names that a script has."""
        names: Dict[str, Any] = {
            "Machine": Machine,
            "BaseMachine": Machine,
            "NspawnMachine": Machine,
            "create_machine": self.create_machine,
            "driver": self,
            "join_all": self.join_all,
            "log": self.logger,
            "machines": self.machines,
            "machines_nspawn": self.machines,
            "machines_qemu": [],
            "os": os,
            "polling_condition": self.polling_condition,
            "retry": retry,
            "serial_stdout_off": lambda: self._show_consoles(False),
            "serial_stdout_on": lambda: self._show_consoles(True),
            "start_all": self.start_all,
            "subtest": self.subtest,
            "t": self.tests,
            "vlans": self.vlans,
        }
        if len(self.machines) == 1:
            names["machine"] = self.machines[0]
        names.update((identifier(machine.name), machine) for machine in self.machines)
        return names


def addresses(machines: Iterable[str], vlans: Sequence[int]) -> Dict[str, List[str]]:
    """Each machine's addresses, by the order of the names, as NixOS numbers its machines."""
    return {
        name: [
            address
            for vlan in vlans
            for address in (f"192.168.{vlan}.{number}", f"2001:db8:{vlan}::{number:x}")
        ]
        for number, name in enumerate(sorted(machines), 1)
    }


def identifier(name: str) -> str:
    """What a machine is called in a script."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)
