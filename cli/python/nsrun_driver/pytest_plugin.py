"""Fixtures for pytest: machines that end with the test module.

A module says what its machines are made of; all else is as in a script::

    NSRUN_MACHINES = {"server": "web", "client": "web"}
    NSRUN_VLANS = [1]

    def test_it_answers(machines):
        machines["server"].wait_for_open_port(80)
        machines["client"].succeed("curl -f http://server/")
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from .driver import Driver, Machine


@pytest.fixture(scope="module")
def nsrun_driver(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driver]:
    """The driver of the module's machines. `$NSRUN` is the program and its options."""
    module: Any = request.module
    nsrun = shlex.split(os.environ.get("NSRUN", "nsrun"))
    out_dir: Path = tmp_path_factory.mktemp("nsrun")
    with Driver(
        module.NSRUN_MACHINES,
        nsrun=nsrun,
        out_dir=out_dir,
        options=getattr(module, "NSRUN_OPTIONS", ()),
        vlans=getattr(module, "NSRUN_VLANS", ()),
    ) as driver:
        yield driver


@pytest.fixture
def machines(nsrun_driver: Driver) -> Dict[str, Machine]:
    """The machines by their names."""
    return {machine.name: machine for machine in nsrun_driver.machines}


@pytest.fixture
def machine(nsrun_driver: Driver) -> Machine:
    """The machine, if there is one."""
    (only,) = nsrun_driver.machines
    return only
