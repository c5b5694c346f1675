"""The Locust entry: `locust -f bench/scenarios.py`, with its web page or `--headless`.

Against `--host URL`, or, with none given, against a system of its own that lives as long as Locust does.
`--options` lists its options (Locust prints `--help` before it has read this file). With `--processes N`, or
as `--master` and `--worker` on this or other machines, several processes carry out one load together; only
the master heeds our options, brings a system up, and writes records. The harness drives the same file with
`--trial FILE --records FOLDER` and says when to begin on standard input (`bench.load.driver`).
"""

import atexit
import json
import logging
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import gevent
import psutil
from gevent.fileobject import FileObject
from locust import events
from locust.env import Environment

from bench.load.asking import Setting
from bench.load.assignment import assignment_of
from bench.load.errors import LoadError
from bench.load.exchange import origin_of
from bench.load.faces import check_answers, find_face
from bench.load.options import Chosen, add_options, read_options
from bench.load.own_stack import OwnStack
from bench.load.parent import end_with_parent
from bench.load.progress import Progress
from bench.load.recorder import Recorder
from bench.load.users import BAD_USAGE, ClosedUsers, OpenArrivals, Tests, join_crew, reporter
from bench.load.verifier import Verifier
from bench.load.wire import Wire
from bench.plan import Trial
from workloads import UnknownTask

__all__ = ["ClosedUsers", "OpenArrivals"]  # Locust takes its user classes from this module's names

log = logging.getLogger(__name__)
hooks: Any = events
"""Untyped, because Locust leaves the functions of its events untyped."""


WORKERS_COME, WORKERS_LEAVE = 60.0, 10.0
"""Seconds that the processes of --processes get to be there, and at the end to be gone."""


def offer_options(parser: Any) -> None:
    """Put our options beside Locust's, and let no process that Locust forks later outlive this one."""
    add_options(parser)
    end_with_parent()


def set_up(environment: Environment, **_: Any) -> None:
    """Before any test: find or bring up the system. Whatever is wrong ends Locust here, with one line."""
    options = environment.parsed_options
    assert options is not None
    interrupt_main()
    if options.worker:
        join_crew(environment, Wire(environment.runner), float(options.clock_shift))
        return
    wire = Wire(environment.runner) if options.master else None
    forked = psutil.Process().children()
    hooks.quit.add_listener(lambda **_: outlive(forked))
    try:
        if options.trial:
            carry_out_trial(environment, options, wire)
        else:
            stand_alone(environment, options, wire)
    except LoadError as error:
        leave(str(error), forked)
    except KeyboardInterrupt:
        outlive(forked, 0)
        sys.exit(130)


def stand_alone(environment: Environment, options: Namespace, wire: Wire | None) -> None:
    """Let whoever started Locust choose and start tests.

    Raises LoadError when an option is wrong, nothing answers, or the system does not come up.
    """
    chosen = read_options(options)
    if chosen.records and (chosen.records / "jobs.jsonl").exists():
        raise LoadError(f"--records {chosen.records} holds records already; name another folder")
    if environment.web_ui is None and options.num_users and chosen.assignment.load.arrivals != "closed":
        log.warning("--users says nothing in the open model: jobs come by schedule, see --rate")
    if options.host:
        check_answers(origin_of(options.host))
    else:
        environment.host = options.host = bring_up(chosen)
    if chosen.run_time_is_window:
        # At --run-time Locust would cut off what is in flight. Here it says for how long jobs arrive.
        options.window = f"{chosen.assignment.load.window:.3f}s"
        if environment.web_ui is None or options.autostart:
            options.run_time = None
    tests = 0

    def prepare() -> Setting:
        nonlocal tests
        chosen = read_options(options)
        tests += 1
        folder = chosen.records / str(tests) if chosen.records and tests > 1 else chosen.records
        origin = origin_of(environment.host or "")
        face = chosen.assignment.face or find_face(origin)
        if chosen.run_time_is_window:
            # The web page has just set Locust's own timer; where a later Locust has none to cancel, it cuts.
            getattr(environment.web_ui, "_cancel_run_time_timer", lambda: None)()
        return Setting(
            assignment=replace(chosen.assignment, face=face),
            origin=origin,
            recorder=Recorder(folder),
            verifier=Verifier(chosen.assignment.task, chosen.assignment.value),
            report=reporter(environment),
        )

    Tests(environment, prepare, wire)


def bring_up(chosen: Chosen) -> str:
    """Start a system that ends with this process, and return its URL. Raises LoadError."""
    work = chosen.assignment
    stack = OwnStack(
        [
            *(chosen.system, "--workers", str(chosen.workers), "--task", work.task),
            *("--deadline", f"{work.deadline:.3f}s"),
        ],
        work.value,
        logs=chosen.records / "stack" if chosen.records else None,
    )
    print(f"queuebench: bringing up {chosen.system} …", file=sys.stderr)  # noqa: T201 - for a person - takes seconds
    with sigterm_raises():
        url = stack.start()
    atexit.register(stack.stop)  # for a second Ctrl-C, which passes Locust's own events by
    hooks.quit.add_listener(lambda **_: stack.stop())
    print(f"queuebench: {chosen.system} answers at {url}", file=sys.stderr)  # noqa: T201 - for a person
    return url


def carry_out_trial(environment: Environment, options: Namespace, wire: Wire | None) -> None:
    """Wait until the harness says where the system is, then let Locust start the one test there is.

    Raises LoadError when it can't be carried out.
    """
    try:
        trial = Trial.from_json(json.loads(Path(options.trial).read_text()))
        work = assignment_of(trial, int(options.max_in_flight))
        verifier = Verifier(work.task, work.value)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadError(f"--trial {options.trial} is not a trial: {error}") from None
    except UnknownTask as error:
        raise LoadError(str(error)) from None
    if not options.records:
        raise LoadError("--trial needs --records FOLDER")
    recorder = Recorder(Path(options.records))
    if wire is not None:
        await_workers(wire, int(options.expect_workers))
    recorder.progress(Progress(phase="ready"))
    orders = FileObject(sys.stdin.fileno(), "rb", close=False)
    line = orders.readline()
    if not line:
        sys.exit(0)  # the harness has gone, or changed its mind
    origin = origin_of(json.loads(line)["base_url"])
    work = replace(work, face=work.face or find_face(origin))
    environment.host = origin.url
    environment.process_exit_code = 0  # a job that fails is a finding, not a failure of the generator
    tests = Tests(environment, lambda: Setting(work, origin, recorder, verifier, reporter(environment)), wire)

    def end_with_harness() -> None:
        while orders.readline():
            pass
        tests.stop("the harness has gone")

    gevent.spawn(end_with_harness)


def await_workers(wire: Wire, number: int) -> None:
    """Wait until as many workers are there. Raises LoadError when they do not come."""
    until = time.monotonic() + WORKERS_COME
    while (there := len(wire.workers())) < number:
        if time.monotonic() > until:
            raise LoadError(f"of {number} worker processes only {there} came within {WORKERS_COME:g} s")
        gevent.sleep(0.02)


def outlive(forked: Iterable[psutil.Process], grace: float = WORKERS_LEAVE) -> None:
    """See the processes of --processes end, which have been told to, and end those that do not.

    They are looked at, not waited for: Locust still asks for their exit codes.
    """
    until = time.monotonic() + grace
    for process in forked:
        with suppress(psutil.Error):
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() > until:
                    process.kill()
                gevent.sleep(0.02)


def interrupt_main() -> None:
    """Raise Ctrl-C where Locust waits for it.

    Python would raise it in whichever greenlet happens to run: in the middle of a job, say, which then ends
    with a traceback, or in the one that listens to the workers.
    """
    main = gevent.getcurrent()
    gevent.signal_handler(signal.SIGINT, lambda: gevent.kill(main, KeyboardInterrupt))


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """While Locust has no handler of its own yet, let SIGTERM unwind, so that what was started ends."""

    def raise_exit() -> None:
        sys.exit(128 + signal.SIGTERM)

    watcher = gevent.signal_handler(signal.SIGTERM, raise_exit)
    try:
        yield
    finally:
        watcher.cancel()


def leave(why: str, forked: Iterable[psutil.Process]) -> NoReturn:
    """End Locust with one line."""
    outlive(forked, 0)
    print(f"queuebench: {why}", file=sys.stderr)  # noqa: T201 - for a person - a command's message to its user
    sys.exit(BAD_USAGE)


hooks.init_command_line_parser.add_listener(offer_options)
hooks.init.add_listener(set_up)
