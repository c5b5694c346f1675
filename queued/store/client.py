"""The connections to Redis, and what goes over them: one script at a time."""

import ssl
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from queued.settings import Settings
from queued.store import scripts
from queued.store.errors import StoreError, told

TIMEOUT = 2.0
"""Seconds to wait for an answer of Redis."""
BULK_TIMEOUT = 60.0
"""The same where megabytes have to get through first."""
BULK = 1 << 20
"""Bytes from which on it is so."""
CONNECTIONS = 64
"""Most connections of one process, apart from those that listen; who needs one more waits up to TIMEOUT."""


class Client:
    """Runs scripts in Redis. Safe to share between threads and greenlets."""

    def __init__(self, settings: Settings) -> None:
        """Does not connect yet. Raises StoreError where the address can't be understood."""
        self._scripts = scripts.load()
        self._redis = self._connect(settings, TIMEOUT)
        self._bulk = self._connect(settings, BULK_TIMEOUT)

    def close(self) -> None:
        """Close the connections."""
        for client in (self._redis, self._bulk):
            client.connection_pool.disconnect()

    def run(self, name: str, *arguments: str | bytes | float, size: int = 0) -> Any:
        """Run a script by name; `size`: bytes of its arguments, where they are many."""
        script = self._scripts[name]
        client, timeout = (self._redis, TIMEOUT) if size < BULK else (self._bulk, BULK_TIMEOUT)
        with told(timeout):
            try:
                return client.execute_command("EVALSHA", script.sha, 0, *arguments)
            except redis.exceptions.NoScriptError:  # a Redis that has just been started
                return client.execute_command("EVAL", script.text, 0, *arguments)

    def command(self, *words: str | float) -> Any:
        """Run a plain command."""
        with told(TIMEOUT):
            return self._redis.execute_command(*words)

    def connection(self) -> Any:
        """Open a connection apart from the others."""
        pool = self._redis.connection_pool
        connection = pool.connection_class(**pool.connection_kwargs)
        with told(TIMEOUT):
            connection.connect()
        return connection

    def _connect(self, settings: Settings, timeout: float) -> Any:  # redis-py's own methods have no types
        more: dict[str, Any] = {}
        if urlsplit(settings.store_url).scheme == "rediss":
            more = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
            if settings.ca_file is not None:
                more["ssl_ca_certs"] = settings.ca_file
        try:
            pool = redis.BlockingConnectionPool.from_url(
                settings.store_url,
                max_connections=CONNECTIONS,
                timeout=TIMEOUT,
                protocol=2,
                encoding_errors="replace",  # JSON can hold half a surrogate pair: no reason to fail
                socket_timeout=timeout,
                socket_connect_timeout=TIMEOUT,
                # A restart of Redis leaves dead connections in the pool: one try more, at once. Waiting
                # longer is up to the caller, who knows whether somebody waits for him.
                retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
                **more,
            )
        except (ValueError, TypeError):
            raise StoreError("the store's address has an option that is not known") from None
        return redis.Redis(connection_pool=pool)
