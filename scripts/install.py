"""Makes everything ready to run: a virtual environment, and RabbitMQ, Redis and nginx where they are missing.

    scripts/setup             what `make bench` needs
    scripts/setup --tests     what `make test` needs: development tools and Chromium too
    scripts/setup --no-system the virtual environment only

Standard library only: it runs before anything is installed. A second time it takes under a second.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / ".queuebench.json"
"""What the environment was made from; the same again means that nothing is to be done."""
MINIMUM = {"rabbitmq-server": (3, 10), "redis-server": (7, 0), "nginx": (1, 18)}

CHOICES = """\
Choose one:
  - install them by hand ({names}), then run this again
  - let Docker run the services, and point at them; nginx must still be installed:
      docker run -d -p 127.0.0.1:5672:5672 rabbitmq:4
      docker run -d -p 127.0.0.1:6379:6379 redis:8
      export QUEUEBENCH_BROKER_URL=amqp://guest:guest@127.0.0.1:5672/
      export QUEUEBENCH_STORE_URL=redis://127.0.0.1:6379/0
  - point these two variables at a RabbitMQ and a Redis that run already (an empty database)"""


class SetupError(Exception):
    """Something is missing that can't be had by itself; the message says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is still to be done; 0 when everything is there."""
    parser = argparse.ArgumentParser(prog="setup", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tests", action="store_true", help="development tools and Chromium too")
    parser.add_argument("--no-system", action="store_true", help="the virtual environment only")
    asked = parser.parse_args(arguments)
    try:
        make_environment(tests=asked.tests, system=not asked.no_system)
        if not asked.no_system:
            install_programs(tests=asked.tests)
    except SetupError as error:
        sys.stderr.write(f"setup: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("setup: interrupted; run it again to go on\n")
        return 130
    return 0


# --- the virtual environment ---


def make_environment(*, tests: bool, system: bool) -> None:
    """Make or renew .venv from the compiled, hashed requirements. Raises SetupError."""
    wanted = stamp(tests=tests)
    if read_stamp() in (wanted, stamp(tests=True)):
        return
    if not works(PYTHON):
        need_venv(system=system)
        say(f"making a virtual environment in {ENVIRONMENT.name}")
        venv.create(ENVIRONMENT, with_pip=True, clear=ENVIRONMENT.exists(), symlinks=True)
    file = requirements(tests=tests)
    say(f"installing the Python packages of {file.relative_to(ROOT)}, checked against their hashes")
    pip("install", "--require-hashes", "-r", str(file))
    pip("install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    STAMP.write_text(json.dumps(wanted))


def requirements(*, tests: bool) -> Path:
    """Return the file of pinned packages."""
    return ROOT / "requirements" / ("dev.txt" if tests else "run.txt")


def stamp(*, tests: bool) -> dict[str, str]:
    """Return what an environment depends on."""
    files = [requirements(tests=tests), ROOT / "pyproject.toml"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return {"requirements": requirements(tests=tests).name, "digest": digest, "root": str(ROOT)}


def read_stamp() -> object:
    """Return what the environment was made from; None where there is none that works."""
    try:
        return json.loads(STAMP.read_text()) if works(PYTHON) else None
    except (OSError, ValueError):
        return None


def works(python: Path) -> bool:
    """Whether an environment's Python is there, runs (the one below it may be gone) and is new enough."""
    test = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", test], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def need_venv(*, system: bool) -> None:
    """Make sure that this Python can make environments: Debian packs that apart. Raises SetupError."""
    if (
        subprocess.run(
            [sys.executable, "-c", "import ensurepip"], capture_output=True, check=False
        ).returncode
        == 0
    ):
        return
    package = f"python3.{sys.version_info.minor}-venv"
    if not system or not shutil.which("apt-get") or as_root() is None:
        raise SetupError(
            f"this Python ({sys.executable}) can't make virtual environments: ensurepip is missing.\n"
            f"Install it first, on Debian and Ubuntu: sudo apt-get install {package}"
        )
    apt_install([package])


def pip(*words: str) -> None:
    """Run pip, quietly unless it fails. Raises SetupError with its last lines."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", *words]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        said = "\n  ".join(done.stdout.strip().splitlines()[-12:])
        raise SetupError(f"pip could not install the Python packages:\n  {said}")


# --- the system's programs ---


def install_programs(*, tests: bool) -> None:
    """Install what `bench doctor` misses with the system's package manager. Raises SetupError."""
    missing = ask_doctor()
    browser = ["chromium"] if tests and not has_chromium() and chromium_is_to_be_had() else []
    if not missing and not browser:
        return
    if shutil.which("brew") and sys.platform == "darwin":
        brew_install([*(name.removesuffix("-server") for name in missing), *browser])
    elif shutil.which("apt-get") and as_root() is not None:
        apt_install([*missing, *browser])
    elif missing:
        raise SetupError(f"{', '.join(missing)} missing, and {why_not()}.\n{choices(missing)}")
    else:
        say("Chromium is missing: the tests of the page will be skipped")
        return
    if still := ask_doctor():
        raise SetupError(f"{', '.join(still)} still missing or too old.\n{choices(still)}")


def ask_doctor() -> list[str]:
    """Return the packages of programs that are missing or too old."""
    done = subprocess.run(
        [str(PYTHON), "-m", "bench.doctor", "--missing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SetupError(
            f"the virtual environment is damaged: remove {ENVIRONMENT} and run this again.\n{done.stderr}"
        )
    return done.stdout.split()


def has_chromium() -> bool:
    """Whether the tests of the page have a browser."""
    test = "import sys; from bench.stack import browser; sys.exit(browser.find() is None)"
    return subprocess.run([str(PYTHON), "-c", test], cwd=ROOT, check=False).returncode == 0


def chromium_is_to_be_had() -> bool:
    """Whether a package brings a browser: Ubuntu's brings a snap, which tests can't drive."""
    if sys.platform == "darwin":
        return False
    try:
        system = Path("/etc/os-release").read_text()
    except OSError:
        return False
    if re.search(r"^ID=\"?ubuntu", system, re.MULTILINE):
        say("Ubuntu's Chromium is a snap, which tests can't drive: the tests of the page will be skipped")
        return False
    return True


def as_root() -> list[str] | None:
    """Return the words by which a command runs as root; None where there is no way."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    # With nobody there to type a password, sudo works only where it asks for none.
    free = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    return ["sudo"] if free or sys.stdin.isatty() else None


def why_not() -> str:
    """Say why nothing can be installed."""
    if shutil.which("apt-get"):
        return "this user can't install packages (not root, and no sudo without a password)"
    return "there is neither apt nor Homebrew here"


def choices(packages: list[str]) -> str:
    """Say what a person can do."""
    needed = [f"{name} {'.'.join(map(str, MINIMUM[name]))} or later" for name in packages if name in MINIMUM]
    return CHOICES.format(names=", ".join(needed) or ", ".join(packages))


def apt_install(packages: list[str]) -> None:
    """Install Debian packages without any service being started. Raises SetupError."""
    root = as_root() or []
    say(f"reading the system's package lists{' (sudo)' if root else ''}")
    # Lists that can't be renewed, for lack of a network, may still do.
    subprocess.run(
        [*root, "apt-get", "update", "-qq"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    unusable = [
        name for name in packages if (offer := offered(name)) is None or offer < MINIMUM.get(name, ())
    ]
    if unusable:
        said = ", ".join(f"{name} ({'too old here' if offered(name) else 'not here'})" for name in unusable)
        raise SetupError(f"the system's packages do not have what is needed: {said}.\n{choices(unusable)}")
    say(f"installing with apt, without starting any service: {', '.join(packages)}")
    if to_its_end([*root, str(ROOT / "scripts" / "apt-install"), *packages]) != 0:
        raise SetupError(f"apt could not install {', '.join(packages)}.\n{choices(packages)}")


def to_its_end(command: list[str]) -> int:
    """Run a command that cleans up after itself, and so is never killed, and return its exit code."""
    child = subprocess.Popen(command)
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise


def offered(package: str) -> tuple[int, ...] | None:
    """Return the version that apt would install; None where it knows none."""
    told = subprocess.run(
        ["apt-cache", "policy", package],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout
    found = re.search(r"Candidate: (?:\d+:)?(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else None


def brew_install(packages: list[str]) -> None:
    """Install Homebrew formulas; none of them starts a service by being installed. Raises SetupError."""
    say(f"installing with Homebrew, without starting any service: {', '.join(packages)}")
    if subprocess.run(["brew", "install", "--quiet", *packages], check=False).returncode != 0:
        raise SetupError(f"Homebrew could not install {', '.join(packages)}.\n{choices(packages)}")


def say(line: str) -> None:
    """Tell what is about to happen."""
    sys.stdout.write(f"setup: {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
