"""The set-up script, with package managers that are played: what it installs, and what it says otherwise."""

import importlib.util
import os
import signal
import subprocess
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/install.py as a module of its own."""
    spec = importlib.util.spec_from_file_location("install_under_test", ROOT / "scripts" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "as_root", list)
    monkeypatch.setattr(module.sys, "platform", "linux")
    return module


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs, in front of a PATH without package managers."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "grep", "rm", "mktemp", "tail", "chmod", "sleep", "echo", "touch"):
        (tools / name).symlink_to(f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}")
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{tools}")
    return programs


def program(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def policy(candidate: str) -> str:
    return f'echo "  Installed: (none)\n  Candidate: {candidate}"'


def test_missing_programs_are_installed_with_apt_and_announced(
    install: ModuleType, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What will be installed is said first."""
    program(path, "apt-get", "true")
    program(path, "apt-cache", policy("5:7.0.15-1~deb12u10"))
    answers = iter([["redis-server"], []])
    monkeypatch.setattr(install, "ask_doctor", lambda: next(answers))
    ran: list[list[str]] = []
    monkeypatch.setattr(install, "to_its_end", lambda command: ran.append(command) or 0)
    install.install_programs(tests=False)
    assert ran == [[str(ROOT / "scripts" / "apt-install"), "redis-server"]]
    assert "without starting any service: redis-server" in capsys.readouterr().out


def test_a_package_that_is_too_old_is_not_installed(
    install: ModuleType, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ubuntu 22.04 has Redis 6: the choices are said, and nothing is changed."""
    program(path, "apt-get", "true")
    program(path, "apt-cache", policy("5:6.0.16-1ubuntu1"))
    monkeypatch.setattr(install, "ask_doctor", lambda: ["redis-server"])
    with pytest.raises(install.SetupError, match="too old here") as caught:
        install.install_programs(tests=False)
    for word in ("by hand", "docker run", "QUEUEBENCH_STORE_URL"):
        assert word in str(caught.value)


def test_no_package_manager_no_rights_no_harm(
    install: ModuleType, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clear message with the choices, whatever is lacking."""
    monkeypatch.setattr(install, "ask_doctor", lambda: ["rabbitmq-server"])
    with pytest.raises(install.SetupError, match="neither apt nor Homebrew"):
        install.install_programs(tests=False)
    program(path, "apt-get", "true")
    monkeypatch.setattr(install, "as_root", lambda: None)
    with pytest.raises(install.SetupError, match="this user can't install packages"):
        install.install_programs(tests=False)


def test_homebrew_on_a_mac(install: ModuleType, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Formulas have no -server in their names."""
    program(path, "brew", f'echo "$@" >> {path}/asked')
    monkeypatch.setattr(install.sys, "platform", "darwin")
    answers = iter([["rabbitmq-server", "nginx"], []])
    monkeypatch.setattr(install, "ask_doctor", lambda: next(answers))
    install.install_programs(tests=False)
    assert (path / "asked").read_text().split() == ["install", "--quiet", "rabbitmq", "nginx"]


def test_an_environment_that_is_up_to_date_is_left_alone(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time costs next to nothing; changed requirements are installed."""
    monkeypatch.setattr(install, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(install, "works", lambda _python: True)
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(install, "pip", lambda *words: ran.append(words))
    install.make_environment(tests=True, system=False)
    assert len(ran) == 2
    assert "--require-hashes" in ran[0]
    install.make_environment(tests=True, system=False)
    install.make_environment(tests=False, system=False)  # the tests' environment holds all that is needed
    assert len(ran) == 2
    monkeypatch.setattr(install, "requirements", lambda *, tests: ROOT / "pyproject.toml")
    install.make_environment(tests=True, system=False)
    assert len(ran) == 4


@pytest.fixture
def apt_install(path: Path, tmp_path: Path) -> tuple[Path, Path]:
    """scripts/apt-install with another place for its policy, and that place."""
    place = tmp_path / "policy-rc.d"
    script = path / "apt-install"
    script.write_text(
        (ROOT / "scripts" / "apt-install").read_text().replace("/usr/sbin/policy-rc.d", str(place))
    )
    script.chmod(0o755)
    return script, place


def test_no_service_may_start_while_packages_are_installed(
    apt_install: tuple[Path, Path], path: Path
) -> None:
    """The policy says no (101) during the installation and is gone after it."""
    script, place = apt_install
    program(path, "apt-get", f'{place}; echo "$? $*" > {path}/asked')
    subprocess.run([script, "nginx"], check=True)
    assert (path / "asked").read_text().startswith("101 install --yes")
    assert not place.exists()


def test_a_policy_of_the_administrators_stays(apt_install: tuple[Path, Path], path: Path) -> None:
    """It is theirs."""
    script, place = apt_install
    place.write_text("#!/bin/sh\nexit 104\n")
    program(path, "apt-get", "true")
    subprocess.run([script, "nginx"], check=True)
    assert "104" in place.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_installation_leaves_no_policy(
    apt_install: tuple[Path, Path], path: Path, number: int
) -> None:
    """A machine whose services can't start any more would be a bad souvenir."""
    script, place = apt_install
    program(path, "apt-get", f"touch {path}/begun; sleep 0.3")
    child = subprocess.Popen([script, "nginx"], restore_signals=True)
    deadline = time.monotonic() + 5
    while not (path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert place.exists()
    child.send_signal(number)
    assert child.wait(5) == 128 + number
    assert not place.exists()


def test_a_failed_installation_shows_what_apt_said(apt_install: tuple[Path, Path], path: Path) -> None:
    """Its last lines, a non-zero exit code, and no policy left."""
    script, place = apt_install
    program(path, "apt-get", "echo 'E: no such package'; exit 100")
    done = subprocess.run([script, "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "E: no such package" in done.stderr
    assert not place.exists()


def test_a_python_that_is_too_old_is_refused_in_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with a traceback from the middle of the set-up."""
    (path / "dirname").symlink_to("/usr/bin/dirname")
    program(path, "python3", 'if [ "$1" = --version ]; then echo "Python 3.9.2"; else exit 1; fi')
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "setup")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHON": ""},
    )
    assert done.returncode == 1
    assert "Python 3.11 or later is needed, and here is Python 3.9.2" in done.stderr
