"""`python -m bench.chaos.bare web|worker --with MEASURES`; where the services are, by the environment."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

from bench.chaos.bare.broker import Place, Publisher, Records
from bench.chaos.bare.measures import parse
from bench.chaos.bare.web import create_app
from bench.chaos.bare.worker import Worker
from workloads import UnknownTask, load_task
from workloads.journal import journal_from


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Exit code 2: it can't be run like this."""
    parser = argparse.ArgumentParser("bench.chaos.bare", description="The least queue that works.")
    parser.add_argument("part", choices=("web", "worker"))
    parser.add_argument("--with", dest="measures", default="", help="measures that are on, by commas")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda _signum, _frame: sys.exit(0))
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    try:
        measures = parse(options.measures)
        place = Place.from_environment()
        records = Records(place.store_url)
        if options.part == "web":
            create_app(Publisher(place, measures), records).run(options.host, options.port, threaded=True)
        else:
            task = load_task(os.environ["QUEUED_TASK"])
            Worker(place, measures, records, task, journal_from(os.environ)).work()
    except (ValueError, KeyError, UnknownTask) as error:
        sys.stderr.write(f"bench.chaos.bare: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
