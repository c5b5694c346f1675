"""The OpenAPI document against the running service: what is sent at random is answered as the document says.

QUEUED_FUZZ=N sends N requests of each kind to each route, other ones each time; by default it is a few, and
always the same.
"""

import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from queued_system import TOKEN, QueueSystem
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import queued
from bench.stack.services import Services

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

DOCUMENT = json.loads((Path(queued.__file__).parent / "web" / "openapi.json").read_text())
METHODS = ("get", "put", "post", "delete")
OPERATIONS = [
    (path, method) for path, about in DOCUMENT["paths"].items() for method in METHODS if method in about
]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MANY = os.environ.get("QUEUED_FUZZ", "")
EXAMPLES = int(MANY or "8")
BUDGET = 12.0
"""Seconds for all that is sent at random by default; on a slow machine less is sent."""
SLOWEST = 10.0
"""Seconds after which an answer counts as missing."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, services: Services) -> Iterator[QueueSystem]:
    """Web and worker. The worker does one task; nobody does the other, so its jobs stay queued."""
    services.clear()
    name = f"fuzz-{os.getpid()}"
    system = QueueSystem(tmp_path_factory.mktemp("fuzz"), services.broker_url, services.store_url, name)
    system.web(QUEUED_TASK="sleep,spin", QUEUED_PRIORITIES="1", QUEUED_GATEWAY_TIMEOUT="0.4")
    system.worker(QUEUED_PRIORITIES="1")
    yield system
    system.stop()


@pytest.fixture(scope="module")
def ids(service: QueueSystem) -> dict[str, str]:
    """Jobs in several states."""
    done = service.submit(0)
    service.wait_for(done)
    cancelled, queued_ = (
        service.ask("POST", "/jobs", {"task": "spin", "input": 1}).json["id"] for _ in range(2)
    )
    assert service.ask("DELETE", f"/jobs/{cancelled}").status == 200
    return {"done": done, "cancelled": cancelled, "queued": queued_}


@pytest.fixture(scope="module")
def until(ids: dict[str, str]) -> float:
    """When enough was sent, by the monotonic clock."""
    return time.monotonic() + (BUDGET if not MANY else 3_600.0)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Connections that are kept."""
    with requests.Session() as kept:
        yield kept


def cases() -> Iterator[Any]:
    """Each operation with what it takes, and those that take a body with what they don't, too."""
    for path, method in OPERATIONS:
        yield pytest.param(path, method, GenerationMode.POSITIVE, id=f"{method} {path}")
        if "requestBody" in DOCUMENT["paths"][path][method]:
            yield pytest.param(path, method, GenerationMode.NEGATIVE, id=f"{method} {path} wrongly")


@pytest.mark.parametrize(("path", "method", "mode"), list(cases()))
def test_every_answer_is_a_documented_one(
    service: QueueSystem,
    ids: dict[str, str],
    session: requests.Session,
    until: float,
    path: str,
    method: str,
    mode: Any,
) -> None:
    """No 5xx, and status, type, headers and body as the document has them; whatever is sent."""
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method.upper()]
    known = [ids["done"], ids["cancelled"]]
    if method == "get" and not path.endswith("/events"):  # whose stream would not end
        known.append(ids["queued"])

    sent = itertools.count()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=not MANY,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        job=st.sampled_from([None, *known]),
        worker=st.booleans(),
    )
    def send(case: Any, job: str | None, worker: bool) -> None:
        if job is not None and "id" in (case.path_parameters or {}):
            # what is deleted must be there for the others
            case.path_parameters["id"] = job if method != "delete" else service.submit(0)
        headers = {"Authorization": f"Bearer {TOKEN}"} if worker else None
        begun = time.monotonic()
        if begun > until and next(sent) > 0:
            return
        try:
            response = case.call(
                base_url=f"http://127.0.0.1:{service.port}", session=session, headers=headers, timeout=SLOWEST
            )
        except requests.exceptions.InvalidHeader:
            assume(False)  # no client can send this
        case.validate_response(response, checks=CHECKS)
        assert time.monotonic() - begun < SLOWEST

    send()


def test_the_document_has_every_route_and_no_other(service: QueueSystem) -> None:
    """What is served is described, and what is described is served."""
    from queued.settings import from_environment
    from queued.web.app import create_app
    from queued.web.intake import load_all_for_web

    options = from_environment(service.environment())
    parts: Any = object()
    app = create_app(options, load_all_for_web(options.tasks), parts, parts, parts)
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule).replace("{job_id}", "{id}"), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    assert served == set(OPERATIONS)


def test_the_document_that_is_served_is_this_one(service: QueueSystem) -> None:
    """And it is a valid one, by OpenAPI's own schema as far as schemathesis has it."""
    served = service.get("/openapi.json")
    assert served.headers["Content-Type"] == "application/json"
    assert served.json == DOCUMENT
    schemathesis.openapi.from_dict(served.json).validate()


def test_a_problem_is_what_the_document_says_it_is(service: QueueSystem, ids: dict[str, str]) -> None:
    """For the answers that are not met at random."""
    queued_, cancelled = ids["queued"], ids["cancelled"]
    met = {
        (f"/jobs/{queued_}/result", "get", 409): service.get(f"/jobs/{queued_}/result"),
        (f"/jobs/{cancelled}/result", "get", 410): service.get(f"/jobs/{cancelled}/result"),
        ("/jobs", "post", 413): service.ask("POST", "/jobs", b"x" * (2 << 20)),
        ("/worker/begin", "post", 401): service.ask("POST", "/worker/begin", {}),
    }
    for (path, method, status), reply in met.items():
        assert reply.status == status, (path, reply.body)
        assert reply.headers["Content-Type"] == "application/problem+json"
        documented = re.sub(r"[0-9a-f]{32}", "{id}", path)
        assert str(status) in DOCUMENT["paths"][documented][method]["responses"]
    service.ask("POST", "/jobs", {"task": "spin", "input": 1}, Idempotency_Key="one")
    again = service.ask("POST", "/jobs", {"task": "spin", "input": 2}, Idempotency_Key="one")
    assert (again.status, again.json["type"]) == (422, "urn:queued:key-reused")
    status = service.get(f"/jobs/{cancelled}")
    known = service.ask("GET", f"/jobs/{cancelled}", If_None_Match=status.headers["ETag"])
    assert (known.status, known.body) == (304, b"")


def told(**more: Any) -> dict[str, Any]:
    """A job's message, as a worker has it."""
    job = {"v": 2, "id": "a", "task": "spin", "input": 1, "created": 1, "queue": "q", "request_id": None}
    return {"worker": "w", "jobs": [{**job, "deadline": None, "callback": None, "owner": None, **more}]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/worker/begin", told(created=10**400)),
        ("/worker/begin", told(deadline=-(10**400))),
        ("/worker/begin", told(id="\ud800")),
        ("/worker/begin", told(queue="\udfff")),
        ("/worker/begin", {"worker": "\ud800", "jobs": told()["jobs"]}),
        (
            "/worker/renew",
            {"worker": "w", "held": [{"id": "a", "queue": "q", "attempt": 1, "note": "\ud800"}]},
        ),
        ("/worker/appear", {"queue": "q", "worker": "w", "slots": True}),
        ("/worker/appear", {"queue": "q", "worker": "w", "slots": 10**30}),
        ("/worker/appear", {"queue": "q", "worker": "w", "slots": -1}),
        ("/factorial/update", {"id": "a", "status": "done", "output": float("nan")}),
        ("/jobs/{id}/result?run=inf", 1),
        ("/jobs/{id}/result?run=nan", 1),
        ("/jobs/{id}/result?run=-1", 1),
    ],
)
def test_what_a_worker_must_not_tell_is_refused(
    service: QueueSystem, ids: dict[str, str], path: str, body: Any
) -> None:
    """400: it would spoil the store or a mean, or fail every time that it is read."""
    method = "PUT" if path.startswith("/jobs") else "POST"
    data = json.dumps(body).encode()
    reply = service.ask(method, path.replace("{id}", ids["queued"]), data, Authorization=f"Bearer {TOKEN}")
    assert reply.status == 400, reply.body
    assert service.state(ids["queued"]) == "queued"


@pytest.mark.parametrize("status", [0, -5, 200, 302, 399, 600, 999, 10**30, True])
def test_a_failure_that_could_not_be_answered_is_not_stored(
    service: QueueSystem, ids: dict[str, str], status: Any
) -> None:
    """The status of a stored problem is the one that the result is answered with."""
    problem = json.dumps({"type": "x", "title": "t", "status": status, "detail": "d"}).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/problem+json"}
    reply = service.ask("PUT", f"/jobs/{ids['queued']}/result", problem, **headers)
    assert reply.status == 400
    assert service.get(f"/jobs/{ids['queued']}/result").status == 409
