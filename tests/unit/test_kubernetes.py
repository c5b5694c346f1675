"""The manifests of deploy/kubernetes: valid by their schemas, locked down, true to the service."""

from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import jsonschema
import kubernetes_validate
import pytest
from manifests import FOLDER, VERSIONS, check, documents, kustomization, read

from queued.__main__ import _parser
from queued.broker.queues import work_queues
from queued.settings import Settings, from_environment
from queued.web.app import create_app
from workloads import load_task

SECRETS = read(FOLDER / "secret.example.yaml")
PARTS = ("web", "worker")


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """All of a kind, by name."""
    return {found["metadata"]["name"]: found for found in documents() if found["kind"] == kind}


def deployment(part: str) -> dict[str, Any]:
    return of_kind("Deployment")[f"queued-{part}"]


def pod(part: str) -> dict[str, Any]:
    return dict(deployment(part)["spec"]["template"]["spec"])


def container(part: str) -> dict[str, Any]:
    (only,) = pod(part)["containers"]
    return dict(only)


def labels(part: str) -> dict[str, str]:
    return dict(deployment(part)["spec"]["template"]["metadata"]["labels"])


def selects(selector: dict[str, Any], found: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= found.items()


def config(name: str) -> dict[str, str]:
    """What the generated ConfigMap of this name will hold."""
    (generated,) = [made for made in kustomization()["configMapGenerator"] if made["name"] == name]
    lines = [line for file in generated["envs"] for line in (FOLDER / file).read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def secret(name: str, key: str) -> str:
    (found,) = [found for found in SECRETS if found["metadata"]["name"] == name]
    return str(found["stringData"][key])


def environment(part: str) -> dict[str, str]:
    """The variables of a pod, secrets as in the examples. Raises KeyError where a key is missing."""
    variables: dict[str, str] = {}
    for source in container(part)["envFrom"]:
        variables |= config(source["configMapRef"]["name"])
    for variable in container(part)["env"]:
        if "value" in variable:
            variables[variable["name"]] = variable["value"]
        else:
            reference = variable["valueFrom"]["secretKeyRef"]
            variables[variable["name"]] = secret(reference["name"], reference["key"])
    return variables


def settings(part: str) -> Settings:
    assert part in ("web", "worker")
    return from_environment(environment(part), "web" if part == "web" else "worker")


# --- the schemas ---


@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_is_valid(version: str) -> None:
    """Strictly: a misspelt field would otherwise be dropped by the cluster, or refused."""
    for document in [*documents(), *SECRETS]:
        check(document, version)


def test_the_schemas_would_refuse_a_wrong_field() -> None:
    """Or the test above says nothing."""
    wrong = deployment("web")
    wrong["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFileSystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        check(wrong, VERSIONS[0])
    scaled = of_kind("ScaledObject")["queued-worker"]
    scaled["spec"]["triggers"][0]["metadata"]["value"] = 1
    with pytest.raises(jsonschema.ValidationError):
        check(scaled, VERSIONS[0])


def test_every_file_is_applied_or_is_meant_not_to_be() -> None:
    """A file that the kustomization doesn't list is silently left out."""
    held = kustomization()
    generated = [file for made in held["configMapGenerator"] for file in made["envs"]]
    besides = ["kustomization.yaml", "README.md", "secret.example.yaml"]
    there = sorted(path.name for path in FOLDER.iterdir())
    assert sorted([*held["resources"], *generated, *besides]) == there


def test_names_are_unique_and_nothing_names_a_namespace_of_its_own() -> None:
    """The kustomization sets the one that is also made."""
    found = [(document["kind"], document["metadata"]["name"]) for document in documents()]
    assert len(found) == len(set(found))
    assert list(of_kind("Namespace")) == [kustomization()["namespace"]]
    assert not [document for document in documents() if "namespace" in document["metadata"]]


# --- pod security ---


def test_the_namespace_enforces_the_restricted_standard() -> None:
    """So that what is added later must keep to it too."""
    (namespace,) = of_kind("Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("part", PARTS)
def test_pods_keep_to_the_restricted_standard(part: str) -> None:
    """Pod Security Standards, `restricted`; else the namespace refuses them."""
    spec = pod(part)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)
    assert all(set(volume) == {"name", "emptyDir"} for volume in spec["volumes"])
    secured = container(part)["securityContext"]
    assert secured["allowPrivilegeEscalation"] is False
    assert secured["capabilities"] == {"drop": ["ALL"]}
    assert "privileged" not in secured
    assert all(set(port) == {"name", "containerPort"} for port in container(part)["ports"])


@pytest.mark.parametrize("part", PARTS)
def test_pods_are_who_the_images_are_for_and_can_write_nowhere_but_tmp(part: str) -> None:
    """10001 owns what the images have; nothing else is written, and no token or address comes in unasked."""
    spec = pod(part)
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (10001, 10001)
    assert container(part)["securityContext"]["readOnlyRootFilesystem"] is True
    assert [mount["mountPath"] for mount in container(part)["volumeMounts"]] == ["/tmp"]
    assert all("sizeLimit" in volume["emptyDir"] for volume in spec["volumes"])
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


@pytest.mark.parametrize("part", PARTS)
def test_containers_are_limited(part: str) -> None:
    """One that grows must not take its node down."""
    resources = container(part)["resources"]
    for kind in ("requests", "limits"):
        assert {"cpu", "memory", "ephemeral-storage"} <= set(resources[kind])


def test_a_worker_has_a_core_for_each_job() -> None:
    """Whole, and the same on every node: then a job takes as long as it was measured to take."""
    resources = container("worker")["resources"]
    assert resources["requests"] == resources["limits"]
    assert float(resources["limits"]["cpu"]) >= settings("worker").concurrency


# --- what they start ---


@pytest.mark.parametrize("part", PARTS)
def test_images_are_ours_and_have_a_version(part: str) -> None:
    """`latest` would be another tomorrow."""
    versions = {image["name"]: image["newTag"] for image in kustomization()["images"]}
    assert set(versions) == {"queuebench/web", "queuebench/worker"}
    assert "latest" not in versions.values()
    assert container(part)["image"] == f"queuebench/{part}"


@pytest.mark.parametrize("part", PARTS)
def test_commands_are_such_as_the_service_takes(part: str) -> None:
    """Its own parser reads them."""
    (*program,) = container(part)["command"][:3]
    arguments = container(part)["command"][3:]
    assert [*program] == ["python", "-m", "queued"]
    assert _parser().parse_args(arguments).part == part


@pytest.mark.parametrize("part", PARTS)
def test_every_variable_is_a_setting_with_a_value_that_it_may_have(part: str) -> None:
    """An unknown one would be ignored, a wrong one ends the pod."""
    known = {f"QUEUED_{name.upper()}" for name in Settings.__dataclass_fields__}
    assert set(environment(part)) <= known
    assert load_task(settings(part).task)


@pytest.mark.parametrize("part", PARTS)
def test_no_variable_is_said_twice(part: str) -> None:
    """A setting has one place."""
    (source,) = container(part)["envFrom"]
    own = [variable["name"] for variable in container(part)["env"]]
    said = [*config(source["configMapRef"]["name"]), *own]
    assert len(said) == len(set(said))


def test_the_examples_of_secrets_are_none() -> None:
    """And nobody applies them by accident."""
    for value in (value for found in SECRETS for value in found["stringData"].values()):
        assert urlsplit(value).password == "PASSWORD"
    assert not of_kind("Secret")


def test_the_port_of_the_web_is_the_one_it_listens_on_where_others_reach_it() -> None:
    """And the Service leads there."""
    asked = _parser().parse_args(container("web")["command"][3:])
    assert {port["name"]: port["containerPort"] for port in container("web")["ports"]} == {"http": asked.port}
    assert asked.host == "0.0.0.0"
    (port,) = of_kind("Service")["queued-web"]["spec"]["ports"]
    assert port["targetPort"] == "http"


def test_the_probes_of_the_web_are_routes_of_it() -> None:
    """Alive is asked of what needs no broker: restarting the web brings none back."""
    tasks = {"factorial": load_task("factorial")}
    app = create_app(settings("web"), tasks, Mock(), Mock(), Mock())
    kinds = ("startup", "liveness", "readiness")
    probes = {kind: container("web")[f"{kind}Probe"]["httpGet"] for kind in kinds}
    assert {kind: probe["path"] for kind, probe in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert {probe["path"] for probe in probes.values()} <= {rule.rule for rule in app.url_map.iter_rules()}
    assert {probe["port"] for probe in probes.values()} == {"http"}


def test_the_probes_of_a_worker_ask_where_it_shows_its_figures() -> None:
    """With patience: a task that uses all of the CPU limit leaves the process little to answer with."""
    (port,) = container("worker")["ports"]
    assert port["containerPort"] == settings("worker").metrics_port
    for name in ("startupProbe", "livenessProbe"):
        probe = container("worker")[name]
        assert probe["httpGet"] == {"path": "/metrics", "port": port["name"]}
        assert probe["timeoutSeconds"] >= 10


# --- ending ---


def test_a_worker_may_end_its_job_before_it_is_killed() -> None:
    """Whatever is scaled away or drained: no attempt outlasts the grace, and one can be given back."""
    held = settings("worker")
    assert held.time_limit is not None
    assert held.time_limit < held.grace
    assert pod("worker")["terminationGracePeriodSeconds"] >= held.grace + 15


def test_the_web_may_answer_what_it_was_asked_before_it_is_killed() -> None:
    """After proxies have had time to hear that it goes."""
    asleep = container("web")["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert asleep >= 5
    assert pod("web")["terminationGracePeriodSeconds"] >= asleep + settings("web").grace + 5


# --- what belongs together ---


def test_selectors_find_their_pods_and_no_others() -> None:
    """A budget or a service of nobody says nothing."""
    for part, other in (PARTS, PARTS[::-1]):
        name = f"queued-{part}"
        selectors = [
            deployment(part)["spec"]["selector"],
            of_kind("PodDisruptionBudget")[name]["spec"]["selector"],
            of_kind("NetworkPolicy")[name]["spec"]["podSelector"],
        ]
        assert all(selects(selector, labels(part)) for selector in selectors)
        assert not any(selects(selector, labels(other)) for selector in selectors)
    service = of_kind("Service")["queued-web"]["spec"]["selector"]
    assert service == labels("web")


def test_a_node_can_always_be_drained_and_some_web_stays() -> None:
    """A budget that allows no disruption blocks every upgrade of the cluster."""
    for budget in of_kind("PodDisruptionBudget").values():
        assert budget["spec"]["maxUnavailable"] == 1
    assert deployment("web")["spec"]["replicas"] >= 2


def test_pods_may_reach_broker_and_store_and_nothing_else() -> None:
    """Besides the names of both; the ports are those of the secrets' examples and of TLS."""
    policies = of_kind("NetworkPolicy")
    everything = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert everything in [policy["spec"] for policy in policies.values()]
    (out,) = [policy["spec"] for policy in policies.values() if "egress" in policy["spec"]]
    assert all(selects(out["podSelector"], labels(part)) for part in PARTS)
    ports = {}
    for rule in out["egress"]:
        (peer,) = rule["to"]
        namespace = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        ports[namespace] = {port["port"] for port in rule["ports"]}
    assert ports == {"kube-system": {53}, "rabbitmq": {5672, 5671}, "redis": {6379}}
    for key, namespace in (("QUEUED_BROKER_URL", "rabbitmq"), ("QUEUED_STORE_URL", "redis")):
        address = urlsplit(secret("queued", key))
        assert address.hostname is not None
        assert address.hostname.split(".")[1] == namespace
        assert address.port in ports[namespace]


def test_pods_are_reached_at_their_ports_only() -> None:
    """Named ones, which their containers have."""
    for part in PARTS:
        (rule,) = of_kind("NetworkPolicy")[f"queued-{part}"]["spec"]["ingress"]
        assert rule["from"]
        assert [port["port"] for port in rule["ports"]] == [port["name"] for port in container(part)["ports"]]


# --- scaling ---


def test_the_workers_are_scaled_by_the_queue_that_they_consume() -> None:
    """By KEDA alone: a number of replicas in the Deployment would come back with each apply."""
    spec = of_kind("ScaledObject")["queued-worker"]["spec"]
    assert spec["scaleTargetRef"] == {"name": deployment("worker")["metadata"]["name"]}
    assert "replicas" not in deployment("worker")["spec"]
    held = settings("worker")
    assert [trigger["metadata"]["queueName"] for trigger in spec["triggers"]] == [
        *work_queues(held, held.tasks)
    ]
    assert spec["minReplicaCount"] < spec["maxReplicaCount"]


def test_a_busy_worker_counts() -> None:
    """What is delivered and not acknowledged is work too, else a worker with a long job is scaled away.

    Only over http does KEDA see it. With a value above what a worker holds, fewer are wanted than are busy.
    """
    for trigger in of_kind("ScaledObject")["queued-worker"]["spec"]["triggers"]:
        counted = trigger["metadata"]
        assert (counted["protocol"], counted["mode"]) == ("http", "QueueLength")
        assert counted["excludeUnacknowledged"] == "false"
        assert float(counted["value"]) <= settings("worker").concurrency


def test_kedas_key_is_in_its_own_secret() -> None:
    """The address of the management API, which no pod of ours gets."""
    (trigger,) = of_kind("ScaledObject")["queued-worker"]["spec"]["triggers"]
    found = of_kind("TriggerAuthentication")[trigger["authenticationRef"]["name"]]
    (reference,) = found["spec"]["secretTargetRef"]
    assert reference["parameter"] == "host"
    assert urlsplit(secret(reference["name"], reference["key"])).scheme == trigger["metadata"]["protocol"]
    assert reference["name"] not in str([container(part) for part in PARTS])
