"""`python -m baseline` called wrongly: one line, exit code 2, before anything listens."""

import socket
import sys

import pytest

from baseline.__main__ import main


@pytest.fixture
def taken_port():
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture(autouse=True)
def _process_as_before(monkeypatch):
    """main() is an entry point: it may change the process."""
    limit = sys.get_int_max_str_digits()
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    yield
    sys.set_int_max_str_digits(limit)


def refusal(capfd, *arguments: str) -> str:
    """The line that a wrong call gets."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1, error
    return error


@pytest.mark.parametrize("server", ["flask", "gunicorn"])
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--task", "nope"], "there is no task 'nope'"),
        (["--task", "no_such_module_xyz:f"], "No module named 'no_such_module_xyz'"),
        (["--port", "x"], "'x' is not a whole number from 0 to 65535"),
        (["--port", "65536"], "'65536' is not a whole number from 0 to 65535"),
        (["--workers", "0"], "'0' is not a whole number from 1"),
        (["--timeout", "-1"], "--timeout"),
        (["--host", "192.0.2.1"], "can't listen on 192.0.2.1"),
        (["--host", "no such host"], "can't listen on no such host"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_settings_are_one_line(capfd, server, arguments, why):
    """Whatever is wrong, with either server."""
    assert why in refusal(capfd, "--server", server, "--port", "0", *arguments)


@pytest.mark.parametrize("server", ["flask", "gunicorn"])
def test_a_port_in_use_is_one_line(capfd, server, taken_port):
    """Found at once, not after retries."""
    line = refusal(capfd, "--server", server, "--port", str(taken_port))
    assert f"can't listen on 127.0.0.1:{taken_port}: Address already in use" in line


def test_an_unknown_server_is_one_line(capfd):
    """With the choices."""
    assert "'flask', 'gunicorn'" in refusal(capfd, "--server", "apache").replace(
        "flask, gunicorn", "'flask', 'gunicorn'"
    )
