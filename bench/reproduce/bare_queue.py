"""A queue with nothing around it: `python -m bench.reproduce.bare_queue fill|consume`.

No web, no store: what is asked is who gets which message, and what a dead consumer takes with it. A message
is a number; a consumer sleeps over it and writes one JSON line when it begins and one when it has done it.
Before it asks for messages it waits for a file: how long a process takes to start decides nothing.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pika
import pika.exceptions

URL = "QUEUEBENCH_LAB_URL"
"""Environment variable with the broker's URL; the password in it is nobody's business on a command line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Exit code 1: the broker can't be used."""
    parser = argparse.ArgumentParser("bench.reproduce.bare_queue", description="A queue and its consumers.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    fill_parser = verbs.add_parser("fill", help="publish so many messages")
    fill_parser.add_argument("--count", type=int, required=True)
    consume_parser = verbs.add_parser("consume", help="work on them until ended")
    consume_parser.add_argument("--name", required=True)
    consume_parser.add_argument("--seconds", type=float, required=True, help="spent on each message")
    consume_parser.add_argument("--prefetch", type=int, default=0, help="0: no limit")
    consume_parser.add_argument("--auto-ack", action="store_true")
    consume_parser.add_argument("--stay-at", type=int, default=-1, help="message that it never ends")
    consume_parser.add_argument("--go", type=Path, required=True, help="begin when this file is there")
    consume_parser.add_argument("--journal", type=Path, required=True)
    for each in (fill_parser, consume_parser):
        each.add_argument("--queue", required=True)
    options = parser.parse_args(arguments)
    try:
        with pika.BlockingConnection(pika.URLParameters(os.environ[URL])) as connection:
            channel = connection.channel()
            channel.queue_declare(options.queue, durable=True)
            if options.verb == "fill":
                fill(channel, options.queue, options.count)
            else:
                consume(channel, options)
    except KeyboardInterrupt:
        return 0
    except (pika.exceptions.AMQPError, OSError) as error:
        sys.stderr.write(f"bench.reproduce.bare_queue: {type(error).__name__}: {error}\n")
        return 1
    return 0


def fill(channel: Any, queue: str, count: int) -> None:
    """Publish the numbers from 0, each confirmed."""
    channel.confirm_delivery()
    for number in range(count):
        channel.basic_publish("", queue, str(number).encode(), pika.BasicProperties(delivery_mode=2))


def consume(channel: Any, options: argparse.Namespace) -> None:
    """Take messages as the options say, for ever."""
    with options.journal.open("a", buffering=1) as journal:

        def write(**line: Any) -> None:
            journal.write(json.dumps({"t": time.time(), "consumer": options.name, **line}) + "\n")

        def handle(channel: Any, method: Any, _properties: Any, body: bytes) -> None:
            write(event="start", job=int(body))
            while int(body) == options.stay_at:
                time.sleep(1)
            time.sleep(options.seconds)
            write(event="end", job=int(body))
            if not options.auto_ack:
                channel.basic_ack(method.delivery_tag)

        write(event="connected", job=-1)
        while not options.go.exists():
            time.sleep(0.002)
        if options.prefetch:
            channel.basic_qos(prefetch_count=options.prefetch)
        channel.basic_consume(options.queue, handle, auto_ack=options.auto_ack)
        write(event="ready", job=-1)
        channel.start_consuming()


if __name__ == "__main__":
    sys.exit(main())
