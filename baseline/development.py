"""Served as the blog post serves it: Flask's development server, a thread for each connection, one GIL."""

import os
import socket
import sys
import threading

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

BACKLOG = 128
"""Connections the kernel holds; what this server asks for by itself."""


def serve(app: Flask, listener: socket.socket) -> None:
    """Serve until SystemExit (SIGTERM, by the caller's handler) or SIGINT.

    Jobs in progress are dropped then, as this server does. A task inside one long call that holds the GIL
    delays the end until that call is over.
    """
    host, port = listener.getsockname()[:2]
    server = make_server(host, port, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno())
    try:
        server.serve_forever()
    except SystemExit:
        pass
    finally:
        listener.close()
    if threading.active_count() > 1:
        # Jobs in progress: taking the interpreter down under running threads can crash native libraries.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class _QuietHandler(WSGIRequestHandler):
    """Requests are the load generator's to record; errors are still logged."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""
