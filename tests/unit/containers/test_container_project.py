"""What engine and Compose complain of becomes one clear line."""

import pytest

from bench.stack.containers.project import said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "Error response from daemon: driver failed programming external connectivity on endpoint x "
            "(abc): Bind for 127.0.0.1:8080 failed: port is already allocated",
            "Port 127.0.0.1:8080 is in use",
        ),
        (
            "Error starting userland proxy: listen tcp4 127.0.0.1:8080: bind: address already in use",
            "Port 127.0.0.1:8080 is in use",
        ),
        (
            "Error response from daemon: pull access denied for nosuch, repository does not exist",
            "The image nosuch can't be pulled",
        ),
        (
            'failed to create LLB definition: failed to do request: Head "https://r.example/v2/library/'
            'python/manifests/9-slim": dial tcp: lookup r.example: no such host',
            "The image library/python:9-slim can't be pulled",
        ),
        (
            'Error response from daemon: Get "https://r.example/v2/": dial tcp: no such host',
            "its registry is not reached",
        ),
        ("failed to solve: python:9-slim: not found", "The image python:9-slim can't be pulled"),
        ("write /x: no space left on device", "The engine's disk is full"),
    ],
)
def test_known_complaints_are_told_in_words(text, line):
    """One line, with what to do."""
    error = said("up", text)
    assert line in str(error)
    assert "\n" not in str(error)


def test_an_unknown_complaint_is_passed_on():
    """The lines that say error, without the progress around them."""
    text = " Container a  Starting\n Container a  Started\nError response from daemon: something odd\n"
    assert str(said("up", text)) == ("`docker compose up` failed: Error response from daemon: something odd")
