"""`queued web`. Greenlets instead of threads, so that hundreds of clients can wait in one process."""

from queued.settings import Settings


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in hand. Raises CannotServe.

    It replaces the standard library's blocking calls in this process (gevent): call it first of all, and in a
    process that does nothing else.
    """
    from gevent import monkey  # here, because importing must change nothing

    monkey.patch_all()
    # and only now what uses these calls: the broker's connection and the store's are greenlets too
    from queued.web.serving import run

    run(settings, host, port)
