"""Files into a machine and out of it."""

from __future__ import annotations

import base64
import os
import shlex
from pathlib import Path

from .machine import MachineBase


class Files(MachineBase):
    """Copies between the host and the machine."""

    def copy_from_host(self, source: str, target: str) -> None:
        """Copies a file or directory of the host; in the machine it is root's."""
        parent = shlex.quote(os.path.dirname(target) or "/")
        with self.nested(f"gets {source} as {target}"):
            self._must(f"mkdir -p {parent}")
            self._request("copy-to", source=os.path.abspath(source), target=target)

    def copy_from_host_via_shell(self, source: str, target: str) -> None:
        """The same for a file, through the input of a shell in the machine."""
        self._ensure_started()
        data = base64.b64encode(Path(source).read_bytes()).decode()
        name, parent = shlex.quote(target), shlex.quote(os.path.dirname(target) or "/")
        with self.nested(f"gets {source} as {target} through a shell"):
            command = f"mkdir -p {parent}; cat >{name}"
            answer = self._request("execute", command=command, stdin=data)
            if answer["status"] != 0:
                raise self._unexpected(f"cannot write {target} (status {answer['status']})", "")

    def copy_from_machine(self, source: str, target_dir: str = "") -> None:
        """Copies a file or directory of the machine into the directory for results, or one below it."""
        self._ensure_started()
        place = self.out_dir / target_dir
        place.mkdir(parents=True, exist_ok=True)
        target = place / os.path.basename(source.rstrip("/"))
        with self.nested(f"gives {source} as {target}"):
            self._request("copy-from", source=source, target=os.path.abspath(target))

    copy_from_vm = copy_from_machine

    def _must(self, command: str) -> None:
        status, output = self.execute(command)
        if status != 0:
            raise self._unexpected(f"`{command}` failed with status {status}", output)
