"""The files of the containers, held against what they say of each other and of the code."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_project import IN_BOX

from bench.stack import nginx, rabbitmq
from queued.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DEFAULTS = dict(re.findall(r"\$\{([A-Z_]+):?-([^${}]*)\}", COMPOSE))
"""Variable → its default in the compose file."""
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]


def value(text: Any) -> str:
    """What a setting is where the environment says nothing."""
    return re.sub(r"\$\{([A-Z_]+):?-[^}]*\}", lambda found: DEFAULTS[found[1]], str(text))


def mebibytes(text: str) -> int:
    """A size as Docker writes it."""
    return int(text[:-1]) * {"m": 1, "g": 1024}[text[-1]]


@pytest.mark.parametrize("profile", IN_BOX)
def test_the_caps_of_each_system_add_up_to_the_same_box(profile: str) -> None:
    """2 vCPU and 2 GiB, or comparing systems would say nothing; and nothing is swapped."""
    cpus, memory = 0.0, 0
    for name in IN_BOX[profile]:
        service = SERVICES[name]
        limits = service["deploy"]["resources"]["limits"]
        count = int(value(service["deploy"].get("replicas", 1)))
        cpus += count * float(value(limits["cpus"]))
        memory += count * mebibytes(value(limits["memory"]))
        assert service["memswap_limit"] == limits["memory"], name
    assert (round(cpus, 6), memory) == (2, 2048)


def test_every_system_is_complete_and_nothing_else_is_started() -> None:
    """A profile has what its box has, and its gateway."""
    for profile, box in IN_BOX.items():
        started = {name for name, service in SERVICES.items() if profile in service["profiles"]}
        (gateway,) = started - set(box)
        assert gateway.endswith("gateway")
        assert set(box) <= started


def test_ports_are_published_on_loopback_only() -> None:
    """With credentials that everybody knows, anything else would be an open door."""
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(published) == 6
    assert all(port.startswith("127.0.0.1:${") for port in published)


def test_every_setting_of_the_service_is_passed_on() -> None:
    """What `queued` understands can be set without a file of one's own."""
    names = {f"QUEUED_{setting.name.upper()}" for setting in dataclasses.fields(Settings)}
    for name in ("web", "worker", "published-web", "published-worker"):
        assert names <= SERVICES[name]["environment"].keys(), name


def test_env_tells_of_every_variable_and_its_default() -> None:
    """What can be chosen is found in one place, and it is true. Settings of `queued` are told by `queued`."""
    told = dict(re.findall(r"\b([A-Z_]+)=(\S+)", (ROOT / ".env").read_text()))
    assert told.pop("COMPOSE_PROFILES") == "queued"
    settings = {f"QUEUED_{setting.name.upper()}" for setting in dataclasses.fields(Settings)} - told.keys()
    assert told == {name: default for name, default in DEFAULTS.items() if name not in settings}


def test_guest_is_nobodys_name() -> None:
    """The broker's own default user."""
    assert "guest" not in {default for name, default in DEFAULTS.items() if name.startswith("BROKER")}


def test_images_can_be_replaced_and_are_the_same_everywhere() -> None:
    """What the Dockerfile builds on by itself is what Compose names."""
    arguments = dict(re.findall(r"^ARG ([A-Z]+_IMAGE)=(.*)$", DOCKERFILE, re.MULTILINE))
    assert arguments
    assert arguments == {name: DEFAULTS[name] for name in arguments}
    assert not re.findall(r"^FROM (?!\$\{|[a-z-]+ AS )", DOCKERFILE, re.MULTILINE)


def test_the_gateway_is_the_one_that_the_harness_starts() -> None:
    """Each of its directives is in the template, so that containers and processes are measured alike."""
    template = (ROOT / "containers" / "gateway" / "nginx.conf.template").read_text()
    ours = nginx.CONFIG.replace("{{", "{").replace("}}", "}") + nginx.ZONE
    words = {line.strip() for line in ours.splitlines() if line.strip().endswith(";")}
    differ = ("_temp_path", "pid ", "{", "proxy_pass ", "keepalive")
    alike = {line for line in words if not any(word in line for word in differ)}
    missing = {line for line in alike if line not in template}
    # connections to the system are not kept, because its address may change
    assert missing == {"proxy_set_header Connection $upgrade_or_kept;", '""      "";'}


def test_the_broker_has_the_flags_and_limits_of_the_harness() -> None:
    """The same Erlang, the same memory of quorum queues, the same patience with slow jobs."""
    flags = rabbitmq.ERLANG.replace("-start_epmd false ", "")  # in a container it ends with the container
    assert f'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="{flags}"' in DOCKERFILE
    config = (ROOT / "containers" / "broker" / "rabbitmq.conf").read_text()
    for name in ("disk_free_limit.absolute", "raft.wal_max_size_bytes", "log.console.level"):
        (line,) = [line for line in rabbitmq.CONFIG.splitlines() if line.startswith(name)]
        assert line in config
    assert "consumer_timeout = 86400000" in config
