"""The page at `/`, where a person submits jobs and watches them; and the document for programs beside it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, Response, render_template, request

from queued.settings import Settings
from queued.web.intake import load_for_web

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Content-Security-Policy of the page: nothing but its own files, nothing inline, and in no other page."""

ALWAYS = {"X-Content-Type-Options": "nosniff"}
"""For every answer: a result that looks like HTML must not become it."""
FOR_PAGE = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

DOCUMENT = Path(__file__).with_name("openapi.json")


@dataclass(frozen=True)
class Choice:
    """A task that the page offers."""

    name: str
    example: str | None
    """An input that works as it stands, as JSON text; None where only the user knows one."""


def register(app: Flask, settings: Settings) -> None:
    """Add `/`, its files and `/openapi.json` to the application, and their security headers.

    Raises UnknownTask where the settings name a task that does not exist.
    """
    page = _Kept(_rendered(app, settings).encode(), "text/html; charset=utf-8")
    document = _Kept(DOCUMENT.read_bytes(), "application/json")
    app.add_url_rule("/", view_func=page.answer, endpoint="page")
    app.add_url_rule("/openapi.json", view_func=document.answer, endpoint="openapi")
    app.after_request(_secured)


class _Kept:
    """An answer that stays the same while this process lives."""

    def __init__(self, body: bytes, content_type: str) -> None:
        self._body = body
        self._content_type = content_type
        self._etag = hashlib.sha256(body).hexdigest()[:32]

    def answer(self) -> Response:
        """Answer with the body, or with 304 to a client that has it."""
        response = Response(self._body, content_type=self._content_type)
        # Asked for each time, so that a new version of the service is never met with an old page.
        response.headers["Cache-Control"] = "no-cache"
        response.set_etag(self._etag)
        response.make_conditional(request)
        return response


def _rendered(app: Flask, settings: Settings) -> str:
    choices = [_choice(name) for name in settings.tasks]
    with app.app_context():
        return render_template(
            "page.html", choices=choices, priorities=settings.priorities, keys=bool(settings.api_keys)
        )


def _choice(name: str) -> Choice:
    example = load_for_web(name).example
    return Choice(name, None if example is None else json.dumps(example, ensure_ascii=False))


def _secured(response: Response) -> Response:
    response.headers.update(ALWAYS)
    if request.endpoint in ("page", "static"):
        response.headers.update(FOR_PAGE)
    return response
