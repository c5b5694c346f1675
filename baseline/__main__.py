"""`python -m baseline --server flask|gunicorn --workers W --host H --port P --task T`."""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from flask import Flask

from baseline import development
from baseline.app import create_app
from baseline.listener import listen
from workloads import BUILT_IN, UnknownTask, load_task
from workloads.commandline import BAD_SETTINGS, Parser, bounded, fail
from workloads.journal import journal_from

PROGRAM = "baseline"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM; exit code 0 then, and 2 with one line on stderr where the settings are wrong."""
    asked = _parser().parse_args(arguments)
    # Results are numbers of hundreds of thousands of digits; Python refuses to write those by itself.
    sys.set_int_max_str_digits(0)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _leave)
    try:
        _serve_with_threads(asked) if asked.server == "flask" else _serve_with_processes(asked)
    except UnknownTask as error:
        fail(PROGRAM, str(error))


def _serve_with_threads(asked: Any) -> None:
    app = _app_maker(asked.task, alone=False)()
    development.serve(app, _listen(asked, development.BACKLOG))


def _serve_with_processes(asked: Any) -> None:
    from baseline import production  # only here, so that the other server does not carry gunicorn in memory

    _prove(asked.task)
    listener = _listen(asked, production.BACKLOG)
    production.serve(_app_maker(asked.task, alone=True), listener, asked.workers, asked.timeout)


def _app_maker(task: str, *, alone: bool) -> Callable[[], Flask]:
    return lambda: create_app(load_task(task), journal=journal_from(os.environ), alone=alone)


def _listen(asked: Any, backlog: int) -> socket.socket:
    try:
        listener = listen(asked.host, asked.port, backlog)
    except OSError as error:
        fail(PROGRAM, f"can't listen on {asked.host}:{asked.port}: {error.strerror or error}")
    port = listener.getsockname()[1]
    logging.getLogger(PROGRAM).info(
        "%s serves %s on http://%s:%d", asked.server, asked.task, asked.host, port
    )
    return listener


def _prove(task: str) -> None:
    """Find out whether gunicorn's workers will be able to load the task, without loading it here.

    The user's module may be a model of gigabytes, or start threads that don't survive a fork: only workers
    have it, each its own. Another process tries it first, and has said what is wrong when this one exits.
    """
    if task in BUILT_IN or ":" not in task:
        load_task(task)
        return
    proof = subprocess.run([sys.executable, "-m", "workloads", "check", "--task", task], check=False)
    if proof.returncode != 0:
        raise SystemExit(BAD_SETTINGS)


def _leave(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(0)


def _parser() -> Parser:
    parser = Parser(prog=PROGRAM, description="The blocking server: the request waits while the task runs.")
    parser.add_argument(
        "--server",
        choices=("flask", "gunicorn"),
        default="flask",
        help="Flask's development server with threads, or gunicorn with sync processes",
    )
    parser.add_argument("--workers", type=bounded(1, 1024), default=2, help="gunicorn's processes (2)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=bounded(0, 65535), default=5000, help="port (5000); 0: any free one")
    parser.add_argument(
        "--task", default="factorial", help=f"{', '.join(BUILT_IN)}, or package.module:function"
    )
    parser.add_argument(
        "--timeout",
        type=bounded(0, 86_400),
        default=0,
        help="seconds after which gunicorn kills a worker that is at one request; 0: never (0)",
    )
    return parser


if __name__ == "__main__":
    main()
