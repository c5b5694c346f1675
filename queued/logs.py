"""Logs to stderr: text for people or JSON for machines, each line with the job it is about and no secrets.

Whoever logs about a job says so by `log.info("…", extra={"job": id})`, or begins with `job ID`.
"""

import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]

HIDDEN = "…"
"""Stands where a secret was."""
WORTH_HIDING = 6
"""Characters from which a secret is looked for by its value: a shorter one would tear words apart."""

# Wherever an address comes from (a library's error, say), what is between the colon and the @ is a password.
_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+@", re.IGNORECASE)
_JOB = re.compile(r"\bjob ([0-9a-f]{32})\b")
_BEARER = re.compile(r"(\bbearer )[^\s\"']+", re.IGNORECASE)


def set_up(log_format: LogFormat, secrets: Iterable[str] = ()) -> None:
    """Send this process's log to stderr, from INFO up.

    `secrets` are values (tokens, keys, passwords) that no line may hold, wherever it comes from.
    """
    hidden = frozenset(secret for secret in secrets if len(secret) >= WORTH_HIDING)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(hidden) if log_format == "json" else TextFormatter(hidden))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class TextFormatter(logging.Formatter):
    """`time pid LEVEL message`, and ` job=ID` where the message does not name the job itself."""

    def __init__(self, secrets: frozenset[str] = frozenset()) -> None:
        super().__init__("%(asctime)s %(process)d %(levelname)s %(message)s")
        self._secrets = secrets

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Write the message in one line; only a traceback takes more."""
        job = _job(record)
        line = super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")
        return line if job is None or job in line else f"{line} job={job}"

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return without_secrets(super().format(record), self._secrets)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, pid, message, and job and error if any."""

    def __init__(self, secrets: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": without_secrets(record.getMessage(), self._secrets),
        }
        job = _job(record)
        if job is not None:
            line["job"] = job
        if record.exc_info:
            line["error"] = without_secrets(self.formatException(record.exc_info), self._secrets)
        return json.dumps(line, ensure_ascii=False)


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Blot out passwords in addresses, bearer tokens, and the values given."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return _BEARER.sub(rf"\g<1>{HIDDEN}", _PASSWORD.sub(rf"\g<1>{HIDDEN}@", text))


def _job(record: logging.LogRecord) -> str | None:
    job = getattr(record, "job", None)
    if isinstance(job, str):
        return job
    named = _JOB.search(record.getMessage())
    return named[1] if named else None
