"""Reading what servers say."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load import answers


def test_a_number_of_many_thousand_digits_stays_text():
    """To turn the post's result into an int takes seconds, and Python refuses it by default."""
    digits = "7" * 20_000
    assert answers.parse(f'{{"output": {digits}, "n": 12}}'.encode()) == {"output": digits, "n": 12}


@given(st.binary())
def test_any_bytes_can_be_read(body):
    """A broken body is no JSON; it never raises."""
    answers.parse(body)
    assert answers.problem(500, body).startswith("HTTP 500")


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), (" 0 ", 0.0), ("", 0.0), ("soon", 0.0), ("-4", 0.0), ("1.5", 0.0)]
)
def test_retry_after_is_whole_seconds_or_nothing(value, seconds):
    """What can't be understood asks for nothing."""
    assert answers.retry_after(value) == seconds


def test_retry_after_may_be_a_date():
    """The other form that HTTP allows; a date gone by asks for nothing."""
    soon = datetime.now(UTC) + timedelta(seconds=30)
    assert 27 < answers.retry_after(format_datetime(soon, usegmt=True)) <= 30
    assert answers.retry_after("Sun, 06 Nov 1994 08:49:37 GMT") == 0


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("wait;dur=12.5, run;dur=250", {"wait": 0.0125, "run": 0.25}),
        ('cache;desc="hit, or so";dur=1', {"cache": 0.001}),
        ("Run;dur=1000", {"run": 1.0}),
        ("miss, run", {}),
        ("run;dur=x, wait;dur=1.2.3", {}),
        ("", {}),
    ],
)
def test_server_timing_is_read_in_seconds(value, found):
    """Names in small letters; what has no duration is left out."""
    assert answers.server_timing(value) == found


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/jobs/a1", "/jobs/a1"),
        ("http://elsewhere:99/jobs/a1?x=1#y", "/jobs/a1?x=1"),
        ("jobs/a1", ""),
        ("/jobs/a b", ""),
        ("/jobs/\r\nX: y", ""),
        ("", ""),
    ],
)
def test_a_location_gives_a_path_that_can_be_asked_for(location, path):
    """On the same server, and with nothing in it that would break a request."""
    assert answers.path_of(location) == path


def test_a_location_below_the_origins_prefix_is_asked_for_once_below_it():
    """A service at http://host/api answers `Location: /api/jobs/1`, and every request adds /api again."""
    assert answers.path_of("/api/jobs/1", prefix="/api") == "/jobs/1"
    assert answers.path_of("/apis/jobs/1", prefix="/api") == "/apis/jobs/1"


def test_errors_say_what_the_server_said():
    """Problem details give their detail, in one line."""
    assert answers.problem(409, b'{"title": "t", "detail": "not\\n yet"}') == "HTTP 409: not yet"
    assert answers.problem(502, b"<html>") == "HTTP 502"
