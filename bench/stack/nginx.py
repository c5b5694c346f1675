"""The gateway: a private nginx before one system, whose timeout makes the 504s. Stands outside the box."""

import functools
import getpass
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.stack.errors import StackError
from bench.stack.installed import required
from bench.stack.ports import LOOPBACK
from bench.stack.process import Command

# Before one server one try only; of several the next is asked where one takes no connection, so that each may
# be restarted: a request that was sent is never sent again, unless it changes nothing.
# Buffers hold a whole result of 700 kB, so that nothing waits for a slow client or a disk; but events are
# passed on as they come. A WebSocket asks for its upgrade; all else keeps its connection to the system.
CONFIG = """\
{user}daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 64m;
    client_body_buffer_size 1m;
    keepalive_requests 1000000;
    keepalive_timeout 75s;
    reset_timedout_connection on;
    upstream system {{
{servers}        keepalive 32;
        keepalive_timeout 60s;
    }}
    map $http_upgrade $upgrade_or_kept {{
        default upgrade;
        ""      "";
    }}
{zone}    server {{
        listen {address}:{port} backlog=4096;
{limit}        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $upgrade_or_kept;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_next_upstream {next};
        proxy_connect_timeout {timeout}ms;
        proxy_send_timeout {timeout}ms;
        proxy_read_timeout {timeout}ms;
        proxy_buffer_size 64k;
        proxy_buffers 16 64k;
        proxy_busy_buffers_size 128k;
        location / {{
            proxy_pass http://system;
        }}
        location ~ ^/jobs/[^/]+/events$ {{
            proxy_pass http://system;
            proxy_buffering off;
        }}
    }}
{status}}}
"""
SERVER = "        server {address}:{port} max_fails=0;\n"
ZONE = "    limit_conn_zone $server_port zone=system:1m;\n    limit_conn_status 503;\n"
# Apart from the system's own server: no route there, and no limit counts it. A socket in the folder would
# need no port, but what a killed nginx leaves of it keeps the next one from starting.
STATUS = """\
    server {{
        listen {address}:{port};
        location / {{
            stub_status;
        }}
    }}
"""
LIMIT = "        limit_conn system {connections};\n"


def configuration(
    folder: Path,
    *,
    port: int,
    upstream: int,
    timeout: float,
    connections: int = 0,
    others: Sequence[int] = (),
    status: int = 0,
) -> str:
    """Return the configuration; `timeout` in seconds, `connections` in progress at most (0: any number).

    `others`: ports of more servers of the same system, which take turns. `status`: port at which nginx tells
    of its requests in progress (0: nowhere).
    """
    return CONFIG.format(
        status=STATUS.format(address=LOOPBACK, port=status) if status else "",
        # As root nginx would hand its worker to an account that can't read a private folder.
        user=f"user {getpass.getuser()};\n" if os.geteuid() == 0 else "",
        folder=folder,
        address=LOOPBACK,
        port=port,
        servers="".join(SERVER.format(address=LOOPBACK, port=each) for each in (upstream, *others)),
        next="error" if others else "off",
        timeout=max(1, round(timeout * 1000)),
        zone=ZONE if connections else "",
        limit=LIMIT.format(connections=connections) if connections else "",
    )


def command(
    folder: Path,
    log: Path,
    *,
    port: int,
    upstream: int,
    timeout: float,
    connections: int = 0,
    others: Sequence[int] = (),
    status: int = 0,
) -> Command:
    """Write the configuration into `folder`, which is made, and return how to start. Raises StackError.

    `status` is without effect where nginx was built without the module for it.
    """
    server = required("nginx").path
    file = folder / "nginx.conf"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = configuration(
            folder,
            port=port,
            upstream=upstream,
            timeout=timeout,
            connections=connections,
            others=others,
            status=status if _tells(server) else 0,
        )
        file.write_text(text)
    except OSError as error:
        raise StackError(f"nginx's {file} can't be written: {error.strerror}.") from None
    return Command(
        role="gateway",
        argv=(str(server), "-p", str(folder), "-c", str(file)),
        log=log,
        cwd=folder,
    )


@functools.cache
def _tells(server: Path) -> bool:
    """Whether this nginx was built with the module that tells of its requests: most are, some are not."""
    try:
        built = subprocess.run([server, "-V"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return "http_stub_status_module" in built.stderr
