"""A server of known behaviour as a process of ours."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from bench.interrupt import uninterrupted
from bench.load.errors import LoadError
from bench.selftest.behaviour import Behaviour

GRACE = 5.0
"""Seconds in which it ends once its standard input has."""


class StubProcess:
    """Use as a context manager: it is gone when that ends, and its log and journal are whole.

    However this process ends, the pipe that holds the server ends with it.
    """

    def __init__(self, behaviour: Behaviour, log: Path, journal: Path) -> None:
        self._behaviour, self._log, self._journal = behaviour, log, journal
        self._process: subprocess.Popen[str] | None = None
        self._port = 0

    def url(self, load: str) -> str:
        """Base URL of one load."""
        return f"http://127.0.0.1:{self._port}/{load}"

    @property
    def pid(self) -> int:
        """Process id, 0 before the start."""
        return self._process.pid if self._process else 0

    def __enter__(self) -> "StubProcess":
        """Raises LoadError when it does not come up."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with uninterrupted():
                self._process = process = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "bench.selftest.server", self._behaviour.to_json()),
                        *("--log", str(self._log), "--journal", str(self._journal)),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,  # Ctrl-C on the terminal is the harness's to handle
                )
            assert process.stdout is not None
            self._port = int(json.loads(process.stdout.readline())["port"])
        except (ValueError, KeyError):
            self.close()
            raise LoadError("a server of the self-test did not come up; what it said is above") from None
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it. May be called more than once."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
