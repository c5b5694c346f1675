"""Redis's errors as ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from queued.errors import QueuedError


class StoreError(QueuedError):
    """Redis can't be reached or refuses. The message holds no address and no secret."""


class StoreFull(StoreError):
    """Redis has no memory left and drops nothing (`maxmemory` with `noeviction`)."""


FULL = "the store is full"
PASSWORD = "the store refuses the password"


@contextmanager
def told(timeout: float) -> Iterator[None]:
    """Turn redis-py's errors into ours; their texts can hold addresses, which are not for clients."""
    try:
        yield
    except redis.TimeoutError as error:
        raise StoreError(f"the store did not answer within {timeout:g} s") from error
    except redis.BusyLoadingError as error:
        raise StoreError("the store is still loading its data") from error
    except redis.AuthenticationError as error:
        raise StoreError(PASSWORD) from error
    except redis.ConnectionError as error:
        if "certificate verify failed" in str(error):
            raise StoreError("the store's certificate is not trusted") from error
        raise StoreError("the store can't be reached") from error
    except redis.exceptions.OutOfMemoryError as error:
        raise StoreFull(FULL) from error
    except redis.RedisError as error:
        if "OOM command not allowed" in str(error):  # as scripts are told
            raise StoreFull(FULL) from error
        if "Error compiling script" in str(error):
            raise StoreError("the store's Redis is too old: it takes 7.0 or later") from error
        if "unauthenticated" in str(error):  # a command that is too long for a stranger
            raise StoreError(PASSWORD) from error
        raise StoreError(f"the store refuses: {error}") from error
