"""What a person reads when the stack can't do its part."""

import socket
from pathlib import Path

from bench.stack.errors import StackError, log_says, tail
from bench.stack.ports import RANGE, free_ports, is_free
from bench.stack.process import ending


def test_the_first_line_says_what_and_the_rest_how_it_came(tmp_path: Path) -> None:
    """One glance for the fault, the next for the log's end and the remedy."""
    log = tmp_path / "broker-1.log"
    log.write_text("\n".join(f"line {n}" for n in range(5000)))
    lines = str(StackError("RabbitMQ did not start.", log=log, hint="Free some space.")).splitlines()
    assert lines[0] == "RabbitMQ did not start."
    assert str(log) in lines[1]
    assert lines[-2].strip() == "line 4999"
    assert lines[-1].strip() == "Free some space."
    assert len(lines) < 20


def test_a_log_that_is_not_there_is_no_second_error(tmp_path: Path) -> None:
    """The process may have died before it wrote a word."""
    assert tail(tmp_path / "none.log") == []
    assert "(empty)" in str(StackError("It died.", log=tmp_path / "none.log"))


def test_a_port_clash_is_recognised_in_any_programs_words(tmp_path: Path) -> None:
    """It is the one failure that another try cures."""
    log = tmp_path / "x.log"
    log.write_text("nginx: [emerg] bind() to 127.0.0.1:1 failed (98: Address already in use)\n")
    assert log_says(log, ("address already in use",))
    assert not log_says(log, ("no space left",))


def test_free_ports_are_distinct_and_out_of_the_way_of_outgoing_connections() -> None:
    """A server that is restarted must find its port again."""
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(port in RANGE and is_free(port) for port in ports)


def test_a_port_in_use_is_not_free() -> None:
    """Found out by trying, as the server would."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert not is_free(taken.getsockname()[1])


def test_endings_are_said_in_words() -> None:
    """-9 means nothing to most people."""
    assert (ending(3), ending(-9), ending(-120)) == ("exit code 3", "SIGKILL", "signal 120")
