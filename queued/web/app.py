"""The web: takes jobs, tells how they are, hands out results. Flask, with nothing global."""

import logging
from collections.abc import Mapping

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from queued import metrics, problem
from queued.broker import Publisher
from queued.settings import Settings
from queued.store import Store, StoreError
from queued.web import answers, page
from queued.web.access import Access
from queued.web.asking import Asking
from queued.web.health import Health
from queued.web.hub import Hub
from queued.web.posts import Posts
from queued.web.rates import Rates
from queued.web.streams import Streams
from queued.web.submitting import Submitting
from queued.web.worker_routes import WorkerRoutes
from workloads import Task

log = logging.getLogger(__name__)


def create_app(
    settings: Settings, tasks: Mapping[str, Task], publisher: Publisher, store: Store, hub: Hub
) -> Flask:
    """Build the web application on parts that are already running. `tasks` by name, the default one first."""
    app = Flask("queued.web")
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies)  # type: ignore[method-assign]  # as Flask says
    answers.register(app)
    app.register_error_handler(StoreError, lambda error: _store_problem(error, settings.retry_after))
    access = Access(settings, store)
    asking = Asking(settings, access, store, hub)
    submitting = Submitting(settings, tasks, publisher, store, hub, access, Rates(settings), asking)
    posts = Posts(settings, access, store, submitting)
    health = Health(publisher, store, hub)
    app.add_url_rule("/healthz", view_func=health.alive)
    app.add_url_rule("/readyz", view_func=health.ready)
    app.add_url_rule("/jobs", view_func=submitting.submit, methods=["POST"])
    app.add_url_rule("/jobs/<job_id>", view_func=asking.status)
    app.add_url_rule("/jobs/<job_id>", view_func=asking.delete, methods=["DELETE"])
    app.add_url_rule("/jobs/<job_id>/result", view_func=asking.result)
    app.add_url_rule("/factorial", endpoint="post-submit", view_func=posts.submit)
    app.add_url_rule("/factorial/result", endpoint="post-result", view_func=posts.result)
    app.add_url_rule("/factorial/update", view_func=posts.update, methods=["POST"])
    Streams(settings, access, store, hub).register(app)
    WorkerRoutes(settings, access, store).register(app)
    metrics.register(app, store, settings, lambda: hub.waiting)
    page.register(app, settings)
    return app


def _store_problem(error: StoreError, retry_after: float) -> Response:
    """Answer where the store fails: try again."""
    log.warning("%s %s: %s", request.method, request.path, error)
    return answers.as_problem(problem.unavailable(str(error)), answers.soon(retry_after))
