"""The post's consumer: takes all there is, works it off in the callback, and posts each result to the web."""

import json
import logging
import re
import urllib.request
from pathlib import Path
from typing import Any

from queued.as_published import helpers
from queued.settings import Settings
from workloads import Task
from workloads.journal import execute

log = logging.getLogger(__name__)

WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)")


def consume(settings: Settings, task: Task, journal: Path | None) -> None:
    """Consume until something goes wrong; whatever does is raised and ends the consumer."""

    def callback(_channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        message = json.loads(body)
        client_id = (properties.headers or {}).get(helpers.REQUEST_ID, message["id"])
        execution = execute(task, message["no"], client_id, journal, "worker", alone=True)
        post_back(f"{settings.api_url}/factorial/update", message["id"], execution.output)

    channel = helpers.connect(settings).channel()
    channel.queue_declare(queue=settings.queue, durable=True)
    # No prefetch limit: all that waits is sent at once. auto_ack: sent is as good as done.
    channel.basic_consume(queue=settings.queue, on_message_callback=callback, auto_ack=True)
    log.info("waiting for messages")
    channel.start_consuming()


def post_back(url: str, request_id: str, output: Any) -> None:
    """Post one result to the web, over a connection of its own."""
    request = urllib.request.Request(
        url, encode(request_id, output), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request) as response:
        response.read()


def encode(request_id: str, output: Any) -> bytes:
    """Return the update as JSON; an output that is the text of a whole number goes as a JSON number."""
    head = {"id": request_id, "status": "done"}
    if isinstance(output, str) and WHOLE_NUMBER.fullmatch(output):
        # Text already: making it an int only to write it out again would cost a second conversion, which
        # the post's consumer does not pay.
        return f'{json.dumps(head)[:-1]}, "output": {output}}}'.encode()
    return json.dumps({**head, "output": output}).encode()
