"""Ports, sockets and links of a machine."""

from __future__ import annotations

import base64
import shlex
from typing import Optional

from .machine import MachineBase
from .moments import Timeout

# Waits within the machine, so that a try costs no more than a process or two of its own.
_PAUSE = "sleep 0.05"


class Network(MachineBase):
    """Waiting for files, ports and sockets; cutting off; forwarding."""

    def wait_for_file(self, filename: str, timeout: Timeout = 900) -> None:
        """Waits until a file, directory or other thing of that name is there."""
        name = shlex.quote(filename)
        with self.nested(f"waits for file {filename}"):
            self._loop(f"test -e {name}", timeout, f"file {filename} is not there")

    def wait_for_open_port(
        self, port: int, addr: str = "localhost", timeout: Timeout = 900
    ) -> None:
        """Waits until a TCP port takes connections from within the machine."""
        with self.nested(f"waits for port {port} of {addr}"):
            self._loop(_connects(port, addr), timeout, f"port {port} of {addr} is not open")

    def wait_for_closed_port(
        self, port: int, addr: str = "localhost", timeout: Timeout = 900
    ) -> None:
        """Waits until a TCP port takes no connections from within the machine."""
        with self.nested(f"waits until port {port} of {addr} is closed"):
            self._loop(f"! {_connects(port, addr)}", timeout, f"port {port} of {addr} is open")

    def wait_for_open_unix_socket(
        self, addr: str, is_datagram: bool = False, timeout: Timeout = 900
    ) -> None:
        """Waits until somebody listens at a socket in the file system."""
        # See proc_net_unix(5): streams that listen have the flag __SO_ACCEPTCON.
        flags, kind = ("00000000", "0002") if is_datagram else ("00010000", "000[15]")
        wanted = f"^[^ ]* [^ ]* [^ ]* {flags} {kind} [0-9]* *[0-9]* "
        name = shlex.quote(addr)
        check = f"grep {shlex.quote(wanted)} /proc/net/unix | cut -d ' ' -f 8- | grep -qxF {name}"
        with self.nested(f"waits for socket {addr}"):
            self._loop(f"{{ {check}; }}", timeout, f"nobody listens at {addr}")

    def _loop(self, condition: str, timeout: Timeout, what: str) -> None:
        loop = f"until {condition}; do {_PAUSE}; done"
        status, output = self._attempt(loop, timeout)
        if status is None:
            raise self._timed_out(what, timeout)
        if status != 0:
            raise self._unexpected(f"`{loop}` failed with status {status}", output)

    def block(self) -> None:
        """Cuts the machine's links, as if their cables were pulled."""
        self.log("is cut off")
        self._request("links", up=False)

    def unblock(self) -> None:
        """Undoes `block`."""
        self.log("is no longer cut off")
        self._request("links", up=True)

    def forward_port(self, host_port: int = 8080, guest_port: int = 80) -> None:
        """Passes connections to a port of the host's loopback on to one of the machine's."""
        self._ensure_started()
        self.log(f"has port {guest_port} at 127.0.0.1:{host_port} of the host")
        self._request("forward", host_port=host_port, port=guest_port)

    def shell_interact(self, address: Optional[str] = None) -> None:
        """Opens a shell in the machine at the terminal, and waits for its end."""
        if address is not None:
            self.log("an address is not needed: the shell is at the terminal")
        self.connect()
        self._at_terminal("shell", self.host_name)

    def console_interact(self) -> None:
        """Connects the terminal to the console, until ^] is pressed three times."""
        self._ensure_started()
        self._at_terminal("attach", self.host_name)

    def send_console(self, chars: str) -> None:
        """Types at the console."""
        self._ensure_started()
        self._request("type", data=base64.b64encode(chars.encode()).decode())


def _connects(port: int, addr: str) -> str:
    place = shlex.quote(f"/dev/tcp/{addr}/{int(port)}")
    return f"(exec 3<>{place}) 2>/dev/null"
