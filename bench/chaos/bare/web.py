"""Takes jobs, tells how they are, hands out results."""

import json
import uuid

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from bench.chaos.bare.broker import BROKER_ERRORS, STORE_ERRORS, Publisher, Records


def create_app(publisher: Publisher, records: Records) -> Flask:
    """Build the web application."""
    app = Flask("bare")
    for away in (*BROKER_ERRORS, *STORE_ERRORS):
        app.register_error_handler(away, lambda error: (jsonify(error=type(error).__name__), 503))

    @app.post("/jobs")
    def submit() -> ResponseReturnValue:
        job = uuid.uuid4().hex
        trace = request.headers.get("X-Request-ID", job)
        records.write(job, "queued")
        publisher.publish(
            json.dumps({"id": job, "trace": trace, "input": request.get_json()["input"]}).encode()
        )
        return jsonify(id=job, state="queued"), 202

    @app.get("/jobs/<job>")
    def look(job: str) -> ResponseReturnValue:
        record = records.read(job)
        return _unknown() if record is None else jsonify(id=job, state=record["state"])

    @app.get("/jobs/<job>/result")
    def result(job: str) -> ResponseReturnValue:
        record = records.read(job)
        if record is None:
            return _unknown()
        if record["state"] != "done":
            return jsonify(error="it is not done"), 409
        return jsonify(output=record["output"])

    @app.get("/healthz")
    def healthz() -> ResponseReturnValue:
        return jsonify(status="ok")

    return app


def _unknown() -> ResponseReturnValue:
    return jsonify(error="there is no such job"), 404
