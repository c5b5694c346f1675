"""Served as a production shop would: gunicorn with sync worker processes, each at one request at a time."""

import socket
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

BACKLOG = 2048
"""Connections the kernel holds; gunicorn's own default."""


def serve(make_app: Callable[[], Flask], listener: socket.socket, workers: int, timeout: int) -> None:
    """Serve with `workers` processes that each make the application, until SIGTERM or SIGINT.

    On SIGTERM each worker finishes the job it is at, for 30 s at most. A worker at one request for `timeout`
    seconds is killed and replaced; 0: never. Ends by SystemExit.
    """
    _Gunicorn(
        make_app,
        {
            "bind": f"fd://{listener.detach()}",
            "workers": workers,
            "worker_class": "sync",
            "timeout": timeout,
            "loglevel": "warning",
            "proc_name": "queuebench-baseline",
            # The control socket is a file in the user's home that nobody here speaks to.
            "control_socket_disable": True,
        },
    ).run()


class _Gunicorn(BaseApplication):  # type: ignore[misc]  # gunicorn carries no types
    """gunicorn inside this process, without its command line and configuration files."""

    def __init__(self, make_app: Callable[[], Flask], options: dict[str, Any]) -> None:
        self.make_app = make_app
        self.options = options
        super().__init__()

    def load_config(self) -> None:
        """Hand our settings to gunicorn."""
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called in every worker process: nothing is shared between them but the socket."""
        return self.make_app()
