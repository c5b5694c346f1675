"""Finding the system's programs, wherever packages put them."""

from pathlib import Path

import pytest
from played_programs import play

from bench.stack import StackError, installed
from bench.stack.installed import required


def program(file: Path, script: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def test_rabbitmqs_version_is_read_off_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's way; asking the program itself takes seconds. The wrapper on PATH comes last."""
    home = tmp_path / "lib" / "rabbitmq_server-3.10.8"
    server = program(home / "sbin" / "rabbitmq-server", "")
    (home / "plugins" / "rabbit-3.10.8").mkdir(parents=True)
    (home / "plugins" / "rabbit_common-3.10.8").mkdir()
    program(tmp_path / "bin" / "rabbitmq-server", "")
    program(tmp_path / "bin" / "epmd", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(installed, "RABBITMQ", (f"{tmp_path}/lib/rabbitmq_server-*/sbin/rabbitmq-server",))
    found = installed.find_rabbitmq()
    assert found is not None
    assert (found.path, found.version) == (server, (3, 10, 8))


def test_rabbitmqs_version_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Homebrew's way: a link to a folder named by the version."""
    program(tmp_path / "Cellar" / "rabbitmq" / "4.0.5" / "sbin" / "rabbitmq-server", "")
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt" / "rabbitmq").symlink_to(tmp_path / "Cellar" / "rabbitmq" / "4.0.5")
    program(tmp_path / "bin" / "epmd", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(installed, "RABBITMQ", (f"{tmp_path}/opt/rabbitmq/sbin/rabbitmq-server",))
    found = installed.find_rabbitmq()
    assert found is not None
    assert found.version == (4, 0, 5)


def test_programs_are_asked_for_their_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nginx answers on stderr, Redis on stdout; a program that fails is not there."""
    program(tmp_path / "nginx", "echo 'nginx version: nginx/1.26.3' >&2")
    program(tmp_path / "redis-server", "echo 'Redis server v=8.0.2 sha=0 malloc=x'")
    monkeypatch.setenv("PATH", str(tmp_path))
    nginx, redis = installed.find_nginx(), installed.find_redis()
    assert nginx is not None
    assert nginx.version == (1, 26, 3)
    assert redis is not None
    assert redis.version == (8, 0, 2)


def test_a_program_off_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/usr/sbin is not on an ordinary user's PATH."""
    program(tmp_path / "nginx", "echo 'nginx version: nginx/1.18.0' >&2")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(installed, "FOLDERS", f"/nowhere:{tmp_path}")
    assert installed.find_nginx() is not None


def test_what_is_missing_or_too_old_is_said_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """And points at the doctor. An unknown version is given the benefit of the doubt."""
    play(monkeypatch, "Redis", version=())
    with pytest.raises(StackError, match=r"Redis is not installed: 7\.0 or later") as caught:
        required("Redis")
    assert "bench doctor" in str(caught.value)
    play(monkeypatch, "Redis", version=(6, 2, 1))
    with pytest.raises(StackError, match=r"Redis 6\.2\.1 is too old"):
        required("Redis")
