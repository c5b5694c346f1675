"""The command line: see `queued --help`. Settings come from the environment (`queued.settings`)."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from queued import logs, parse
from queued.errors import QueuedError
from queued.settings import Settings, SettingsError, from_environment, settings_help, worker_settings

USAGE = 2
"""Exit code: it can't be run like this."""
FLAGS = {"concurrency": "N", "task": "T", "queue": "Q", "time_limit": "S", "metrics_port": "P", "short": None}
"""Settings of a worker that are flags too, and what stands for their value."""

API_KEY = "QUEUED_API_KEY"
"""Variable with the key that `queued submit` shows: an argument could be read by everybody on the machine."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 well, 1 not all of it, 2 it can't be run like this."""
    options = _parser().parse_args(arguments)
    sys.set_int_max_str_digits(0)  # results have more than 4,300 digits
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except QueuedError as error:
        sys.stderr.write(f"queued {options.part}: {error}\n")
        return USAGE
    except BrokenPipeError:
        # who reads has enough (`| head`); Python would complain once more on closing
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


# --- the parts ---


def _web(options: argparse.Namespace) -> int:
    from queued.web import serve  # neither Flask nor gevent is for a worker's memory

    settings = from_environment(os.environ, "web")
    logs.set_up(settings.log_format, secrets(settings))
    serve(settings, options.host, options.port)
    return 0


def _worker(options: argparse.Namespace) -> int:
    from queued.worker.work import run

    settings = with_flags(os.environ, options)
    logs.set_up(settings.log_format, secrets(settings))
    run(settings)
    return 0


def _status(options: argparse.Namespace) -> int:
    from queued.operate import status
    from queued.store import Store

    settings = _operators_settings()
    store = Store(settings)
    try:
        return status.show(
            settings, store, interval=options.interval, json_lines=options.json, watch=options.watch
        )
    finally:
        store.close()


def _dead(options: argparse.Namespace) -> int:
    from queued.broker.operator import Operator
    from queued.operate.dead import Letters
    from queued.store import Store

    if options.verb in ("retry", "purge") and bool(options.id) == options.all:
        raise SettingsError(f"name what to {options.verb}, or --all")
    settings = _operators_settings()
    store = Store(settings)
    try:
        with Operator(settings) as operator:
            letters = Letters(settings, operator, store)
            match options.verb:
                case "list":
                    letters.list(options.limit, options.json, _say)
                    return 0
                case "show":
                    letters.show(options.id, _say)
                    return 0
            act = letters.retry if options.verb == "retry" else letters.purge
            return 0 if act(None if options.all else options.id, _say) else 1
    finally:
        store.close()


def _submit(options: argparse.Namespace) -> int:
    from queued.operate import batch, submit
    from queued.operate.client import Target

    settings = from_environment(os.environ, needs=frozenset())
    url = options.url or settings.api_url or "http://127.0.0.1:8000"
    path: Path = options.batch
    target = Target(url, os.environ.get(API_KEY) or None, options.task, options.priority, settings.ca_file)
    try:
        jobs = batch.read(path, options.task)
    except batch.BadLines as error:
        submit.say(error.faults)
        raise
    with batch.Ids(options.output or path.with_name(f"{path.name}.ids"), jobs) as ids:
        return submit.submit(target, jobs, ids, options.in_flight, options.patience)


# --- settings ---


def with_flags(environment: Mapping[str, str], options: argparse.Namespace) -> Settings:
    """Read a worker's settings, where a flag comes before its variable. Raises SettingsError."""
    given = {name: getattr(options, name) for name in FLAGS if getattr(options, name) not in (None, False)}
    said = {f"QUEUED_{name.upper()}": "1" if value is True else value for name, value in given.items()}
    try:
        return worker_settings({**environment, **said})
    except SettingsError as error:
        text = str(error)
        for name in given:
            text = text.replace(f"QUEUED_{name.upper()} ", f"--{name.replace('_', '-')} ")
        raise SettingsError(text) from None


def secrets(settings: Settings) -> Iterator[str]:
    """Give every value of the settings that no log line may hold."""
    yield from settings.tokens
    yield from (key for _, key in settings.api_keys)
    yield from parse.words(settings.webhook_secret or "")
    for url in (settings.broker_url, settings.store_url):
        password = urlsplit(url).password
        if password:
            yield from {password, unquote(password)}


def _operators_settings() -> Settings:
    settings = from_environment(os.environ, "operator")
    logs.set_up(settings.log_format, secrets(settings))
    return settings


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


# --- the command line itself ---


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where the rest is written."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "queued",
        description="A queue in front of a slow function.",
        epilog="\n".join(["settings, from the environment:", *settings_help()]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(dest="part", required=True, metavar="PART")
    _web_parser(parts)
    _worker_parser(parts)
    _status_parser(parts)
    _dead_parser(parts)
    _submit_parser(parts)
    return parser


def _web_parser(parts: Any) -> None:
    web = parts.add_parser("web", help="take jobs, tell how they are, hand out results")
    web.set_defaults(run=_web)
    web.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    web.add_argument("--port", type=_read(parse.count(1, 65_535)), default=8000, help="and port (8000)")


def _worker_parser(parts: Any) -> None:
    worker = parts.add_parser(
        "worker",
        help="do jobs; SIGTERM: finish those in hand, then end",
        description="Do jobs until SIGTERM or SIGINT. A flag comes before its QUEUED_… variable.",
    )
    worker.set_defaults(run=_worker)
    about = dict(line.split(maxsplit=1) for line in settings_help())
    for name, value in FLAGS.items():
        more: dict[str, Any] = {"metavar": value} if value else {"action": "store_true"}
        text = about[f"QUEUED_{name.upper()}"].replace("%", "%%")
        worker.add_argument(f"--{name.replace('_', '-')}", help=text, **more)


def _status_parser(parts: Any) -> None:
    status = parts.add_parser(
        "status", help="how deep the queues are, who works on them and how fast; 1: a service is away"
    )
    status.set_defaults(run=_status)
    status.add_argument("--json", action="store_true", help="one line of JSON")
    status.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    status.add_argument(
        "--interval",
        type=_read(parse.seconds(0.1, 3_600)),
        default=1.0,
        metavar="S",
        help="seconds over which rates are taken (1)",
    )


def _dead_parser(parts: Any) -> None:
    dead = parts.add_parser("dead", help="jobs that were given up, and messages that are none")
    dead.set_defaults(run=_dead)
    verbs = dead.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="what is there, and why")
    listing.add_argument("--json", action="store_true", help="a line of JSON each")
    listing.add_argument(
        "--limit", type=_read(parse.count(1, 10**9)), default=1_000, metavar="N", help="show N at most (1000)"
    )
    verbs.add_parser("show", help="all that is known of one").add_argument("id", metavar="ID")
    for name, about in (("retry", "run them again, as new"), ("purge", "throw them away")):
        verb = verbs.add_parser(name, help=about)
        verb.add_argument("id", nargs="*", metavar="ID")
        verb.add_argument("--all", action="store_true", help="all that are there")


def _submit_parser(parts: Any) -> None:
    submit = parts.add_parser(
        "submit",
        help="submit a file of many jobs",
        description="Submit the jobs of a file. Interrupted, or run again, it goes on where it was and makes "
        'no job twice. Each line: {"input": …}, or {"input": …, "id": "a name of your own"}; by that name a '
        "job stays the same when the file is changed, while a changed file without ids is another batch.",
        epilog=f"{API_KEY}: the key to show, where the service asks for one. "
        "Exit code: 0 all accepted, 1 not all, 2 bad lines or usage, 130 stopped by Ctrl-C.",
    )
    submit.set_defaults(run=_submit)
    add = submit.add_argument
    add("--batch", type=Path, required=True, metavar="FILE", help="one line of JSON each")
    add(
        "--url", type=_read(_plain_url), help="the web's address (QUEUED_API_URL, else http://127.0.0.1:8000)"
    )
    add("--output", type=Path, metavar="FILE", help="where ids are written, one line of JSON each (FILE.ids)")
    add("--task", help="for a service that does several")
    add("--priority", choices=("high", "normal", "low"))
    several = _read(parse.count(1, 1_000))
    add("--in-flight", type=several, default=16, metavar="N", help="submissions at the same time (16)")
    add(
        "--patience",
        type=_read(parse.seconds(0, 7 * 86_400)),
        default=300.0,
        metavar="S",
        help="give up when nothing got through for so many seconds (300)",
    )


def _plain_url(text: str) -> str:
    parse.url("http", "https")(text)
    if urlsplit(text).username is not None or urlsplit(text).password is not None:
        raise ValueError(f"must hold no password: use {API_KEY}")
    return text


def _read(reader: Callable[[str], Any]) -> Callable[[str], Any]:
    """Have argparse say a setting's own words, which begin with `must …`."""

    def read(text: str) -> Any:
        try:
            return reader(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


if __name__ == "__main__":
    sys.exit(main())
