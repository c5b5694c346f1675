"""pika's I/O loop for a process of greenlets (gevent).

pika's own loop works there too, on gevent's stand-in for `select.poll`, which sets up and takes down a
watcher of each socket in every turn, and to wake it costs a pair of sockets. pika's adapter for gevent calls
back inside gevent's hub, where nothing may wait; here all happens on the greenlet that called `start`.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from gevent.event import Event
from pika.adapters.utils.selector_ioloop_adapter import AbstractSelectorIOLoop

Handler = Callable[[int, int], object]


class GreenletLoop(AbstractSelectorIOLoop):  # type: ignore[misc]  # pika is not typed
    """Calls back on the greenlet that runs `start`. To be used by the greenlets of one thread only."""

    # gevent's own masks; it has none for errors, which it tells as both of these
    READ = 1
    WRITE = 2
    ERROR = 0

    def __init__(self) -> None:
        self._libev = gevent.get_hub().loop
        self._due: deque[Callable[[], object]] = deque()
        self._woken = Event()
        self._watched: dict[int, _Watched] = {}
        self._timers: set[Any] = set()
        self._stopping = False

    def start(self) -> None:
        """Call back whatever is due, until `stop`."""
        while not self._stopping:
            self._woken.wait()
            self._woken.clear()
            for _ in range(len(self._due)):
                self._due.popleft()()
            if self._due:  # what is due again and again must not keep others from their turn
                gevent.sleep(0)
        self._stopping = False

    def stop(self) -> None:
        """Have `start` return once it has called what is due now."""
        self._stopping = True
        self._woken.set()

    def close(self) -> None:
        """Forget everything."""
        for fd in list(self._watched):
            self.remove_handler(fd)
        for timer in list(self._timers):
            self.remove_timeout(timer)

    def add_callback(self, callback: Callable[[], object]) -> None:
        """Call this soon."""
        self._due.append(callback)
        self._woken.set()

    def call_later(self, delay: float, callback: Callable[[], object]) -> object:
        """Call this in `delay` seconds; gives what `remove_timeout` takes."""
        timer = self._libev.timer(max(0.0, delay))
        self._timers.add(timer)
        timer.start(self.add_callback, partial(self._ring, timer, callback))
        return timer

    def remove_timeout(self, timeout_handle: Any) -> None:
        """Do not call it."""
        self._timers.discard(timeout_handle)
        timeout_handle.close()

    def add_handler(self, fd: int, handler: Handler, events: int) -> None:
        """Call `handler(fd, events)` whenever the socket is ready for one of these."""
        watched = self._watched[fd] = _Watched(fd, handler, events, self._libev)
        for event in (self.READ, self.WRITE):
            if events & event:
                self._watch(watched, event)

    def update_handler(self, fd: int, events: int) -> None:
        """Wait for these events from now on."""
        watched = self._watched[fd]
        before, watched.events = watched.events, events
        for event in (self.READ, self.WRITE):
            if before & event and not events & event:
                watched.watchers[event].stop()
        if events & ~before & self.READ:
            self._watch(watched, self.READ)
        if events & ~before & self.WRITE:
            # A connection with something to send nearly always can: to try costs less than to ask.
            self.add_callback(partial(self._handle, watched, self.WRITE))

    def remove_handler(self, fd: int) -> None:
        """Leave the socket alone."""
        watched = self._watched.pop(fd)
        watched.events = 0
        for watcher in watched.watchers.values():
            watcher.close()

    def _watch(self, watched: "_Watched", event: int) -> None:
        watched.watchers[event].start(self._ready, watched, event)

    def _ready(self, watched: "_Watched", event: int) -> None:
        """Note it, in gevent's hub: it would say so again and again until the socket was dealt with."""
        watched.watchers[event].stop()
        self.add_callback(partial(self._handle, watched, event))

    def _handle(self, watched: "_Watched", event: int) -> None:
        if watched.events & event:
            watched.handler(watched.fd, event)
        if watched.events & event:
            self._watch(watched, event)

    def _ring(self, timer: Any, callback: Callable[[], object]) -> None:
        if timer in self._timers:
            self.remove_timeout(timer)
            callback()


class _Watched:
    """A socket that is waited for."""

    def __init__(self, fd: int, handler: Handler, events: int, libev: Any) -> None:
        self.fd = fd
        self.handler = handler
        self.events = events
        """What it is waited for; nothing once it is left alone."""
        self.watchers = {event: libev.io(fd, event) for event in (GreenletLoop.READ, GreenletLoop.WRITE)}
