"""Takes a message, does the job, stores the result: in one thread, with the measures that are on."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from bench.chaos.bare.broker import BROKER_ERRORS, STORE_ERRORS, Place, Records, connect, declare
from bench.chaos.bare.measures import Measures
from workloads import Task
from workloads.journal import execute

log = logging.getLogger(__name__)

PAUSE = 0.3
"""Seconds before it tries to connect again."""


class Worker:
    """One worker: one job at a time."""

    def __init__(
        self, place: Place, measures: Measures, records: Records, task: Task, journal: Path | None
    ) -> None:
        self._place = place
        self._measures = measures
        self._records = records
        self._task = task
        self._journal = journal

    def work(self) -> None:
        """Consume for ever; whatever breaks the connection, or the store, is answered by a new connection."""
        while True:
            try:
                self._consume()
            except (*BROKER_ERRORS, *STORE_ERRORS) as error:
                log.warning("%s: connecting again", type(error).__name__)
                time.sleep(PAUSE)

    def _consume(self) -> None:
        connection = connect(self._place, heartbeat=self._place.heartbeat)
        try:
            channel = connection.channel()
            declare(channel, self._place, self._measures)
            if self._measures.ack:
                channel.basic_qos(prefetch_count=1)
            channel.basic_consume(self._place.queue, self._handle, auto_ack=not self._measures.ack)
            channel.start_consuming()
        finally:
            if connection.is_open:
                connection.close()

    def _handle(self, channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        message = json.loads(body)
        output = execute(self._task, message["input"], message["trace"], self._journal, "worker").output
        if not self._measures.ack:
            self._records.write(message["id"], "done", output)
        elif self._measures.store_first:
            self._records.write(message["id"], "done", output)
            channel.basic_ack(method.delivery_tag)
        else:
            channel.basic_ack(method.delivery_tag)
            self._records.write(message["id"], "done", output)
