"""A system under test that belongs to one Locust process: `bench up`, started and ended with it."""

import json
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.interrupt import uninterrupted
from bench.load.errors import LoadError
from bench.load.parent import told_of_parents_end

GRACE = 30.0
"""Seconds that `bench up` gets to end everything it started."""


class OwnStack:
    """`bench up …` as a child process."""

    def __init__(self, arguments: Sequence[str], value: Any, logs: Path | None) -> None:
        """Take what follows `bench up` on the command line, the `value` each job is given, and where logs go;
        None: away with them.
        """
        self._arguments = list(arguments)
        self._value = value
        self._logs = logs
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Bring it up and return its base URL. What it has to say on stderr is for the user to read.

        Raises LoadError when it does not come up; whatever else is raised meanwhile (Ctrl-C) ends it.
        """
        logs = self._logs
        if logs is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="queuebench-", ignore_cleanup_errors=True)
            logs = Path(self._temporary.name)
        logs.mkdir(parents=True, exist_ok=True)
        given = logs / "input.json"
        given.write_text(json.dumps(self._value))
        words = ("--input", str(given), "--logs", str(logs), "--json")
        try:
            with uninterrupted():
                self._process = process = subprocess.Popen(
                    [sys.executable, "-m", "bench", "up", *self._arguments, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    text=True,
                    # Ctrl-C on the terminal is Locust's to handle; it then ends this in good order.
                    start_new_session=True,
                    preexec_fn=told_of_parents_end(),  # noqa: PLW1509 - one system call, which takes no lock
                )
            assert process.stdout is not None
            line = process.stdout.readline()
            return str(json.loads(line)["base_url"])
        except (ValueError, KeyError, TypeError):
            code = process.poll() if line else process.wait()
            self.stop()
            raise LoadError(
                f"the system did not come up (`{shlex.join(['bench', 'up', *self._arguments])}` "
                + (f"said {line.strip()[:80]!r})" if line else f"ended with exit code {code})")
            ) from None
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it and wait until everything it started is gone. May be called more than once."""
        process, self._process = self._process, None
        if process is not None:
            self._end(process)
        if self._temporary is not None:
            self._temporary.cleanup()

    def _end(self, process: "subprocess.Popen[str]") -> None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
