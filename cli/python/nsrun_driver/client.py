"""The connection to `nsrun serve`: requests, their answers, and events."""

from __future__ import annotations

import json
import subprocess
import threading
from concurrent.futures import Future
from typing import Any, Callable, Dict, List, Optional, Sequence

from .errors import MachineError, ServerError

PROTOCOL = 1

Answer = Dict[str, Any]


class Client:
    """A server that ends with this process. Requests may come from any thread."""

    def __init__(self, command: Sequence[str], on_event: Callable[[Answer], None]) -> None:
        self._on_event = on_event
        self._lock = threading.Lock()
        self._pending: Dict[int, Future[Answer]] = {}
        self._last = 0
        self._closed = False
        # A session of its own: what is typed at the terminal to end the script must not end the
        # machines before the script has looked at them.
        self._command = list(command)
        self._server = subprocess.Popen(
            [*command, "serve", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        protocol = self.request("hello")["protocol"]
        if protocol != PROTOCOL:
            raise MachineError(f"nsrun speaks protocol {protocol}, and this driver {PROTOCOL}")

    def request(self, operation: str, **arguments: Any) -> Answer:
        """Has something done and returns the answer."""
        given = {name: value for name, value in arguments.items() if value is not None}
        answer: Future[Answer] = Future()
        with self._lock:
            if self._closed:
                raise self._gone()
            self._last += 1
            number = self._last
            self._pending[number] = answer
            line = json.dumps({"id": number, "op": operation, **given})
            try:
                assert self._server.stdin is not None
                self._server.stdin.write(line.encode() + b"\n")
                self._server.stdin.flush()
            except OSError:
                raise self._gone() from None
        return answer.result()

    def run(self, *words: str) -> int:
        """Runs another command of nsrun at the terminal; returns its exit status."""
        return subprocess.run([*self._command, *words], check=False).returncode

    def close(self) -> int:
        """Ends the server, and all machines with it; returns its exit status."""
        with self._lock:
            assert self._server.stdin is not None
            try:
                self._server.stdin.close()
            except OSError:
                pass
        self._reader.join()
        return self._server.wait()

    def _read(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            message = json.loads(line)
            if "event" in message:
                self._on_event(message)
            else:
                self._answered(message)
        self._ended()

    def _answered(self, message: Answer) -> None:
        with self._lock:
            answer = self._pending.pop(message["id"], None)
        if answer is None:
            return
        error = message.get("error")
        if error is None:
            answer.set_result(message["ok"])
        else:
            answer.set_exception(ServerError(error["kind"], error["message"], error.get("hint")))

    def _ended(self) -> None:
        with self._lock:
            self._closed = True
            pending: List[Future[Answer]] = list(self._pending.values())
            self._pending.clear()
        for answer in pending:
            answer.set_exception(self._gone())

    def _gone(self) -> MachineError:
        status: Optional[int] = self._server.poll()
        return MachineError(f"nsrun serve has ended (status {status})")
