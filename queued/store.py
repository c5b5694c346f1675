"""Redis: what is known of each job. The only importer of redis here.

One hash a job. Every change of state is one Lua script, so two workers never both win: the first final state
stays. A job that has not ended has no expiry; an ended one can be asked for as long as the settings say.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from queued.errors import QueuedError
from queued.job import FINAL, FOLLOWS, Done, Job, Outcome, Record, State
from queued.problem import Problem

TIMEOUT = 2.0
"""Seconds to wait for an answer of Redis."""

# KEYS: the job. ARGV: the new state, the states it may follow (",queued,running,"; ",," lets it follow none,
# which makes the record), the expiry in ms or 0, then fields and values. Gives the state the job is in
# afterwards, or "" where there is no such job.
TRANSITION = """
local state = redis.call('HGET', KEYS[1], 'state') or ''
if not string.find(ARGV[2], ',' .. state .. ',', 1, true) then return state end
redis.call('HSET', KEYS[1], 'state', ARGV[1], unpack(ARGV, 4))
if tonumber(ARGV[3]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return ARGV[1]
"""

FIELDS = ("state", "task", "input", "created", "started", "finished", "run", "problem")


class StoreError(QueuedError):
    """Redis can't be reached or refuses. The message holds no address."""


class Store:
    """What is known of each job. Safe to share between threads. Its methods raise StoreError."""

    def __init__(self, url: str, result_ttl: float) -> None:
        """`result_ttl` in seconds. Does not connect yet."""
        self._ttl = max(1, round(result_ttl * 1000))
        # A restart of Redis leaves dead connections in the pool: one try more, at once. Waiting longer is
        # up to the caller, who knows whether somebody waits for him.
        self._redis = redis.Redis.from_url(
            url,
            protocol=2,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        self._transition = self._redis.register_script(TRANSITION)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def create(self, jobs: Sequence[Job]) -> None:
        """Record new jobs as queued, in one round trip."""
        with _told(), self._redis.pipeline(transaction=False) as pipeline:
            for job in jobs:
                pipeline.hset(_key(job.id), mapping=_base(job) | {"state": State.QUEUED.value})
            pipeline.execute()

    def begin(self, job: Job) -> State:
        """Note that an attempt starts now; gives the state it is in then: RUNNING, or the final one it had.

        A job whose record is gone is recorded anew: the message is proof enough that it was accepted.
        """
        return self._insist(job, State.RUNNING, {"started": repr(time.time())}, FOLLOWS[State.RUNNING])

    def finish(self, job_id: str, outcome: Outcome) -> State | None:
        """Store how the job ended; gives the state it is in then: the first end stays. None: no such job."""
        fields: dict[str, Any] = {"finished": repr(time.time())}
        if outcome.run is not None:
            fields["run"] = repr(outcome.run)
        if isinstance(outcome, Done):
            fields["output"] = outcome.output
        else:
            fields["problem"] = json.dumps(outcome.problem.to_json())
        return self._change(job_id, outcome.state, fields, FOLLOWS[outcome.state])

    def refuse(self, job: Job, problem: Problem) -> State:
        """Note that the job was not accepted; gives the state it is in then.

        RUNNING or DONE means that its message got through after all.
        """
        fields = {"finished": repr(time.time()), "problem": json.dumps(problem.to_json())}
        return self._insist(job, State.FAILED, fields, frozenset({State.QUEUED}))

    def record(self, job_id: str) -> Record | None:
        """Read what is known of a job, without its output; None: no such job, or it has expired."""
        with _told():
            values: list[Any] = self._redis.hmget(_key(job_id), FIELDS)
        return _record(job_id, values)

    def result(self, job_id: str) -> tuple[Record, bytes] | None:
        """As `record`, with the output: JSON text, `null` while there is none."""
        with _told():
            values: list[Any] = self._redis.hmget(_key(job_id), (*FIELDS, "output"))
        record = _record(job_id, values[:-1])
        return None if record is None else (record, values[-1] or b"null")

    def _insist(self, job: Job, to: State, fields: dict[str, Any], follows: frozenset[State]) -> State:
        """As `_change`; where there is no record, make one in that state."""
        state = self._change(job.id, to, fields, follows)
        while state is None:
            state = self._change(job.id, to, {**_base(job), **fields}, follows, may_make=True)
        return state

    def _change(
        self,
        job_id: str,
        to: State,
        fields: dict[str, Any],
        follows: frozenset[State],
        *,
        may_make: bool = False,
    ) -> State | None:
        sources = [*follows, *([""] if may_make else [])]
        pairs = [part for pair in fields.items() for part in pair]
        with _told():
            state: Any = self._transition(
                keys=[_key(job_id)],
                args=[to.value, f",{','.join(sources)},", self._ttl if to in FINAL else 0, *pairs],
            )
        return State(state.decode()) if state else None


def _base(job: Job) -> dict[Any, Any]:
    """Return what is known of a job from the start."""
    return {"task": job.task, "input": json.dumps(job.input), "created": repr(job.created)}


def _key(job_id: str) -> str:
    return f"queued:job:{job_id}"


def _record(job_id: str, values: list[Any]) -> Record | None:
    state, task, given, created, started, finished, run, problem = values
    if state is None:
        return None
    return Record(
        id=job_id,
        state=State(state.decode()),
        task=task.decode(),
        input=given,
        created=float(created),
        started=_number(started),
        finished=_number(finished),
        run=_number(run),
        problem=None if problem is None else Problem.from_json(json.loads(problem)),
    )


def _number(value: bytes | None) -> float | None:
    return None if value is None else float(value)


@contextmanager
def _told() -> Iterator[None]:
    """Turn redis-py's errors into ours; their texts can hold addresses, which are not for clients."""
    try:
        yield
    except redis.TimeoutError as error:
        raise StoreError(f"the store did not answer within {TIMEOUT:g} s") from error
    except redis.BusyLoadingError as error:
        raise StoreError("the store is still loading its data") from error
    except redis.AuthenticationError as error:
        raise StoreError("the store refuses the password") from error
    except redis.ConnectionError as error:
        raise StoreError("the store can't be reached") from error
    except redis.RedisError as error:
        raise StoreError(f"the store refuses: {error}") from error
