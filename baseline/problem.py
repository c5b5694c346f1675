"""Errors as problem details (RFC 9457): every answer that is not a result says in JSON what is wrong."""

import json
from http import HTTPStatus
from typing import Any

from flask import Response

MEDIA_TYPE = "application/problem+json"


def problem(status: int, detail: str, **members: Any) -> Response:
    """Answer `status` with one clear line, and whatever members help a program."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(json.dumps({**body, **members}), status=status, mimetype=MEDIA_TYPE)
