"""Redis: what is known of each job. The only importer of redis here.

One hash a job, and for each queue an index of what waits, runs and is to be tried again. Every change of
state is one Lua script that changes hash and indices together, so two workers never both win: the first final
state stays. It also tells whoever follows the job; only that a job is new is told to nobody. A job that has
not ended has no expiry; an ended one can be asked for as long as the settings say. All times are Redis's own.
"""

from queued.job import Begun, Ending, Held, Record, Verdict
from queued.store.errors import StoreError, StoreFull
from queued.store.model import COUNTERS, Admission, Hook, Load, NewJob, News
from queued.store.store import Store
from queued.store.told import Told
from queued.store.workers import WORKER_TTL

__all__ = [
    "COUNTERS",
    "WORKER_TTL",
    "Admission",
    "Begun",
    "Ending",
    "Held",
    "Hook",
    "Load",
    "NewJob",
    "News",
    "Record",
    "Store",
    "StoreError",
    "StoreFull",
    "Told",
    "Verdict",
]
