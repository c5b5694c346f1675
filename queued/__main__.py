"""`queued web` and `queued worker`: see `--help`. Settings come from the environment (`queued.settings`)."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from queued.errors import QueuedError
from queued.settings import from_environment, worker_settings

SETTINGS = """\
settings, from the environment:
  QUEUED_BROKER_URL       amqp://… or amqps://…
  QUEUED_STORE_URL        redis://… or rediss://…
  QUEUED_TASK             factorial, spin, sleep, memory, caption, or package.module:function
  QUEUED_TOKEN            lets workers deliver through the web; without it these routes are closed
  QUEUED_RESULT_PATH      store (default): workers write results straight into Redis; api: through the web
  QUEUED_API_URL          the web's address, for api
  QUEUED_RESULT_TTL       seconds an ended job can be asked for (86400)
  QUEUED_HEARTBEAT        AMQP heartbeat in seconds (60)
  QUEUED_QUEUE            name of the queue (jobs)
  QUEUED_RETRY_AFTER      seconds after which clients are told to ask again (1)
  QUEUED_CONFIRM_TIMEOUT  seconds a submission may wait for the broker's confirm (5)
  QUEUEBENCH_JOURNAL      file to which every execution appends a line at its start and end
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 ended as told, 2 can't be run like this."""
    options = _parser().parse_args(arguments)
    sys.set_int_max_str_digits(0)  # results have more than 4,300 digits
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(process)d %(levelname)s %(message)s"
    )
    try:
        if options.part == "web":
            _web(options.host, options.port, options.threads)
        else:
            _worker()
    except QueuedError as error:
        sys.stderr.write(f"queued {options.part}: {error}\n")
        return 2
    return 0


def _web(host: str, port: int, threads: int) -> None:
    from queued.web import serve  # Flask and gunicorn are not for a worker's memory

    serve(from_environment(os.environ), host, port, threads)


def _worker() -> None:
    from queued.worker import run

    run(worker_settings(os.environ))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "queued",
        description="A queue in front of a slow function.",
        epilog=SETTINGS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(dest="part", required=True)
    web = parts.add_parser("web", help="take jobs, tell how they are, hand out results")
    web.add_argument("--host", default="127.0.0.1")
    web.add_argument("--port", type=int, default=8000)
    web.add_argument("--threads", type=_positive, default=8)
    parts.add_parser("worker", help="do jobs, one at a time; SIGTERM: finish the one in hand, then end")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


if __name__ == "__main__":
    sys.exit(main())
