"""`python -m queued.as_published web` and `… consumer`; settings from the environment as for `queued`."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

import redis

from queued.as_published.app import create_app
from queued.as_published.consumer import consume
from queued.errors import QueuedError
from queued.settings import from_environment
from queued.web.intake import load_for_web
from queued.web.listening import check_address
from workloads import UnknownTask, load_task
from workloads.journal import journal_from

QUEUE = "factorial"

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 ended as told, 1 died, 2 can't be run like this."""
    options = _parser().parse_args(arguments)
    sys.set_int_max_str_digits(0)  # without it every n above about 1,500 ends in a 500
    signal.signal(signal.SIGTERM, lambda _signum, _frame: sys.exit(0))
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(process)d %(levelname)s %(message)s"
    )
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    try:
        if options.part == "web":
            _web(options.host, options.port)
        else:
            return _consumer()
    except (QueuedError, UnknownTask) as error:
        sys.stderr.write(f"queued.as_published {options.part}: {error}\n")
        return 2
    return 0


def _web(host: str, port: int) -> None:
    settings = from_environment(os.environ, queue=QUEUE)
    task = load_for_web(settings.task)
    check_address(host, port)
    create_app(settings, task, redis.Redis.from_url(settings.store_url)).run(host, port, threaded=True)


def _consumer() -> int:
    settings = from_environment(os.environ, needs=frozenset({"broker_url", "api_url", "task"}), queue=QUEUE)
    task = load_task(settings.task)
    try:
        consume(settings, task, journal_from(os.environ))
    except KeyboardInterrupt:
        return 0
    except Exception as error:  # noqa: BLE001 - whatever it was, the published consumer dies of it
        log.error("the consumer dies: %s: %s", type(error).__name__, error)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "queued.as_published", description="The queue as the blog post published it."
    )
    parts = parser.add_subparsers(dest="part", required=True)
    web = parts.add_parser("web", help="take requests, take results, hand them out")
    web.add_argument("--host", default="127.0.0.1")
    web.add_argument("--port", type=int, default=5000)
    parts.add_parser("consumer", help="do what the queue holds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
