"""What travels between the machine outside and the guest's agent: files in a shared directory."""

import os
import shutil
import sys
import time

NAME = ".nsrun-vm"


class Job:
    """A script for the guest, its output and its exit status."""

    def __init__(self, share: str, script: str, poweroff: bool) -> None:
        self._dir = os.path.join(share, NAME)
        shutil.rmtree(self._dir, ignore_errors=True)
        os.makedirs(self._dir)
        self._write("script", script + "\n")
        self._write("clock", f"{time.time():.3f}\n")
        self._write("poweroff", f"{int(poweroff)}\n")
        self._output = None

    def _path(self, name: str) -> str:
        return os.path.join(self._dir, name)

    def _write(self, name: str, text: str) -> None:
        with open(self._path(name), "w") as file:
            file.write(text)

    def status(self) -> int | None:
        """The exit status, once the script has ended."""
        try:
            with open(self._path("status")) as file:
                return int(file.read())
        except FileNotFoundError:
            return None

    def forward_output(self) -> None:
        """Copies to stdout what the script printed since the last call."""
        if self._output is None:
            try:
                self._output = open(self._path("output"), "rb")
            except FileNotFoundError:
                return
        while chunk := self._output.read(65536):
            sys.stdout.buffer.write(chunk)
            sys.stdout.flush()

    def remove(self) -> None:
        """Takes the job's files off the share."""
        if self._output is not None:
            self._output.close()
        shutil.rmtree(self._dir, ignore_errors=True)
