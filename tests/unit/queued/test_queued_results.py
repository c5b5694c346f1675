"""What a worker that tells the web makes of its answers, over an HTTP server that plays the web."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from queued.job import Done, Ending, Job
from queued.worker.results import ApiResults, Refused, Unavailable

JOB = Job("1", "sleep", 1, 1.0, queue="jobs.sleep")
GONE = (404, {"type": "urn:queued:unknown-job"})
ELSEWHERE = (404, {"type": "about:blank"})


class Played:
    """Answers each request with the next of `answers`, and notes what it was sent."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, bytes]] = []
        played = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                played.asked.append((f"{self.command} {self.path.partition('?')[0]}", body))
                status, said = played.answers.pop(0)
                data = b"" if said is None else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_PUT = answer

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def web() -> Iterator[Played]:
    with closing(Played()) as web:
        yield web


@pytest.fixture
def results(web: Played) -> Iterator[ApiResults]:
    with closing(ApiResults(f"http://127.0.0.1:{web.server.server_port}", "token")) as results:
        yield results


def met(web: Played, results: ApiResults) -> None:
    web.answers.append((204, None))
    results.appear("jobs.sleep", "me", 1)
    web.asked.clear()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_result_that_is_not_taken_fails_its_job(web: Played, results: ApiResults, status: int) -> None:
    """By the web or a gateway. Told for ever, it would keep this worker, and then the next, from all else."""
    web.answers += [(status, None), (200, {"ending": "final"})]
    assert results.finish([(JOB, 1, Done(b"[1, 2]", 0.5))]) == [Ending.FINAL]
    told = json.loads(web.asked[1][1])
    assert told["detail"].startswith("its result of 6 bytes is not taken: ")
    assert str(status) in told["detail"]


def test_a_job_that_the_web_does_not_know_is_begun_anew(web: Played, results: ApiResults) -> None:
    """Its record is gone, and its message is proof enough."""
    begun = {"begun": [{"verdict": "run", "state": "running", "attempt": 1}]}
    web.answers += [GONE, (200, begun), (200, {"ending": "final"})]
    assert results.finish([(JOB, 1, Done(b"1", 0.5))]) == [Ending.FINAL]
    assert [asked for asked, _ in web.asked] == [
        "PUT /jobs/1/result",
        "POST /worker/begin",
        "PUT /jobs/1/result",
    ]


def test_a_gateway_that_knows_no_way_is_not_believed(web: Played, results: ApiResults) -> None:
    """While the web is away its gateway may answer 404: neither the result nor the worker is given up."""
    met(web, results)
    web.answers += [ELSEWHERE, (404, None)]
    with pytest.raises(Unavailable, match="answered 404"):
        results.finish([(JOB, 1, Done(b"1", 0.5))])
    with pytest.raises(Unavailable, match="answered 404"):
        results.begin([JOB], "me")


def test_a_wrong_address_is_found_at_once(web: Played, results: ApiResults) -> None:
    """What never was the web is not waited for."""
    web.answers.append(ELSEWHERE)
    with pytest.raises(Refused, match="QUEUED_API_URL"):
        results.appear("jobs.sleep", "me", 1)
