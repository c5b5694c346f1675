"""The command line of `locust -f bench/scenarios.py`: what it means, and what it refuses."""

import argparse
from math import inf

import pytest

from bench.load.errors import LoadError
from bench.load.options import add_options, read_options
from bench.plan import Retry


def options(line: str = "", host: str | None = None, users: int | None = None, run_time: int | None = None):
    parser = argparse.ArgumentParser()
    add_options(parser)
    words = parser.parse_args(line.split())
    return argparse.Namespace(**vars(words), host=host, num_users=users, run_time=run_time, user_classes=[])


def chosen(line: str = "", **more):
    return read_options(options(line, **more))


def test_with_no_options_the_queue_gets_two_jobs_a_second_for_half_a_minute():
    """Poisson arrivals of the task's example at a system of its own; a user waits six service times."""
    found = chosen()
    work = found.assignment
    assert (found.system, found.workers, found.records) == ("queued", 2, None)
    assert (work.face, work.task, work.value["seconds"]) == ("jobs", "spin", 0.25)
    assert (work.load.arrivals, work.load.rate, work.load.window) == ("poisson", 2.0, 30.0)
    assert work.deadline == 1.5
    assert work.patience > work.deadline


@pytest.mark.parametrize(
    ("line", "face"),
    [
        ("--system blocking", "run"),
        ("--system gunicorn", "run"),
        ("--system bounded", "run"),
        ("--system queued", "jobs"),
        ("--system as-published-restarted", "published"),
        ("--system as_published", "published"),
        ("--system queued --face published", "published"),
        ("--face get", "get"),
    ],
)
def test_each_system_is_spoken_to_in_its_own_way(line, face):
    """And --face rules where it is given."""
    assert chosen(line).assignment.face == face


@pytest.mark.parametrize("line", ["", "--face auto"])
def test_how_to_speak_to_a_host_is_found_out(line):
    """Unless the command line says it."""
    assert chosen(line, host="http://127.0.0.1:1").assignment.face is None
    assert chosen("--system blocking", host="http://127.0.0.1:1").assignment.face == "run"


def test_durations_may_be_given_in_service_times():
    """Where the task itself sets S."""
    work = chosen("--task sleep --job-input 0.5 --deadline 4S --poll-interval 0.2S --drain 1min").assignment
    assert (work.deadline, work.poll_interval, work.drain_limit) == (2.0, 0.1, 60.0)


@pytest.mark.parametrize(("rate", "found"), [("4", 4.0), ("4/s", 4.0), ("90/min", 1.5), ("0.5", 0.5)])
def test_rates_read_as_people_write_them(rate, found):
    """A bare number is a second's."""
    assert chosen(f"--rate {rate}").assignment.load.rate == found


def test_a_burst_has_no_window():
    """All arrive at once; the load ends when the last job has."""
    load = chosen("--arrivals burst --size 7").assignment.load
    assert (load.arrivals, load.size, load.window) == ("burst", 7, 0.0)


def test_the_closed_models_users_are_locusts():
    """-u says how many, and they go on until somebody stops them."""
    load = chosen("--model closed --think 2s", users=6).assignment.load
    assert (load.arrivals, load.size, load.window, load.think) == ("closed", 6, inf, 2.0)


@pytest.mark.parametrize(
    ("line", "window", "takes_over"),
    [
        ("", 20.0, True),
        ("--warmup 5s", 15.0, True),
        ("--window 8s", 8.0, False),
        ("--model closed", 20.0, True),
        ("--arrivals burst", 0.0, False),
        ("--model closed --jobs-per-user 2", inf, False),
    ],
)
def test_run_time_is_how_long_jobs_arrive(line, window, takes_over):
    """The drain comes after it, so nothing in flight is cut off; where jobs are counted it is Locust's."""
    found = chosen(line, run_time=20)
    assert found.assignment.load.window == window
    assert found.run_time_is_window is takes_over


def test_locusts_class_names_choose_the_model():
    """As every other locustfile has it: `locust -f bench/scenarios.py ClosedUsers`."""
    line = options()
    line.user_classes = ["ClosedUsers"]
    assert read_options(line).assignment.load.arrivals == "closed"


def test_empty_fields_of_the_web_form_are_not_given():
    """The form sends an empty text for what nobody filled in."""
    line = options()
    for name in ("rate", "window", "deadline", "arrivals", "model", "think", "face", "job_input", "records"):
        setattr(line, name, "")
    assert read_options(line) == chosen()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--task nonsense", "--task: there is no task"),
        ("--task mine:function", "--job-input is needed"),
        ("--job-input {", "is not JSON"),
        ("--job-input -1", "--job-input: seconds of spin"),
        ("--model open,closed", "--model must be open or closed"),
        ("--arrivals often", "--arrivals must be"),
        ("--rate fast", "--rate: "),
        ("--rate 1.2C", "capacity is not known"),
        ("--rate -1", "--rate: "),
        ("--rate 0.01", "no whole job"),
        ("--window long", "--window: "),
        ("--window=-5s", "--window: "),
        ("--deadline 0s", "--deadline must be above 0"),
        ("--task factorial --deadline 6S", "S is not known"),
        ("--poll-interval 5", "--poll-interval: "),
        ("--face post", "--face must be"),
        ("--seed x", "--seed must be a whole number"),
        ("--max-in-flight 0", "--max-in-flight must be at least 1"),
        ("--workers 0", "--workers must be at least 1"),
        ("--arrivals burst --size 0", "--size must be at least 1"),
        ("--model closed --rate 4", "--rate has no meaning for the closed model"),
        ("--model closed --arrivals poisson", "--arrivals has no meaning for the closed model"),
        ("--arrivals burst --rate 4", "--rate has no meaning for burst arrivals"),
        ("--size 4", "--size has no meaning for poisson arrivals"),
        ("--think 1s", "--think has no meaning for poisson arrivals"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(line, says):
    """Naming the option, before anything is started."""
    with pytest.raises(LoadError) as caught:
        chosen(line)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "retry"),
    [
        ("", Retry()),
        ("--attempt-timeout 4S", Retry(after=1.0)),
        ("--retries immediate --attempt-timeout 1s", Retry("immediate", 4, 1.0)),
        (
            "--retries jitter --attempts 3 --retry-base 2S --retry-cap 5s --retry-budget 10%",
            Retry("jitter", 3, 0.0, 0.5, 5.0, 0.1),
        ),
    ],
)
def test_clients_that_retry_can_be_had_by_hand(line, retry):
    """The same policies as in an experiment."""
    assert chosen(line).assignment.retry == retry


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--retries hope", "--retries must be none, immediate, backoff, jitter"),
        ("--attempts 3", "--attempts has no meaning with --retries none"),
        ("--retries immediate --retry-base 1s", "--retry-base has no meaning with --retries immediate"),
        ("--retries backoff --attempts 1", "--attempts must be at least 2"),
        ("--retries backoff --retry-budget x", "--retry-budget: 'x' is not a share"),
    ],
)
def test_retries_that_make_no_sense_are_refused(line, words):
    """In one line that names the option."""
    with pytest.raises(LoadError, match=words):
        chosen(line)
