"""The store as one."""

from queued.settings import Settings
from queued.store.client import Client
from queued.store.keeper import ForKeeper
from queued.store.told import Told
from queued.store.web import ForWeb
from queued.store.workers import ForWorkers


class Store(ForWeb, ForWorkers, ForKeeper):
    """What is known of each job. Safe to share between threads and greenlets.

    Each method raises StoreError; StoreFull where Redis has no memory left. None waits for longer than a few
    seconds, or, where megabytes have to get through, a minute.
    """

    def __init__(self, settings: Settings) -> None:
        """Does not connect yet."""
        client = Client(settings)
        ForWeb.__init__(self, client, settings)
        ForWorkers.__init__(self, client, settings)
        ForKeeper.__init__(self, client, settings)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ping(self) -> None:
        """Return if Redis answers."""
        self._client.command("PING")

    def concerns(self) -> list[str]:
        """What in Redis's own settings endangers jobs: a line each, for the log at the start."""
        said = self._client.command("INFO").decode()
        about = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
        concerns = []
        if about.get("aof_enabled") == "0":
            concerns.append("Redis has appendonly off: a restart forgets jobs that were accepted")
        policy = about.get("maxmemory_policy", "noeviction")
        if about.get("maxmemory", "0") != "0" and policy != "noeviction":
            concerns.append(f"Redis drops what it likes when it is full ({policy}): set noeviction")
        return concerns

    def listen(self, listener: str = "") -> Told:
        """Connect to hear of changes: of the ends of jobs that were submitted with this listener, and of what
        is followed.
        """
        return Told(self._client.connection(), listener)
