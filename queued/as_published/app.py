"""The post's web: `/factorial`, `/factorial/result`, `/factorial/update`."""

import redis
from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue

from queued.as_published import helpers
from queued.settings import Settings
from workloads import InvalidInput, Task, from_text


def create_app(settings: Settings, task: Task, store: redis.Redis) -> Flask:
    """Build the web application."""
    app = Flask("as_published")

    @app.get("/factorial")
    def submit() -> ResponseReturnValue:
        try:
            value = task.check(from_text(request.args.get("no", "")))
        except InvalidInput as error:
            return jsonify(error=str(error)), 400
        request_id = helpers.new_request(store, value)
        helpers.publish(settings, {"id": request_id, "no": value}, request.headers.get(helpers.REQUEST_ID))
        return jsonify(id=request_id, input=value, status="processing")

    @app.get("/factorial/result")
    def result() -> ResponseReturnValue:
        record = helpers.load(store, request.args.get("id", ""))
        if record is None:
            return jsonify(error="there is no request with this id"), 404
        return jsonify(record)

    @app.post("/factorial/update")
    def update() -> ResponseReturnValue:
        body = request.get_json()
        record = helpers.load(store, body["id"])
        if record is None:
            return jsonify(error="there is no request with this id"), 404
        helpers.save(store, body["id"], {**record, "status": body["status"], "output": body["output"]})
        return jsonify(id=body["id"], status=body["status"])

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    return app
