"""Reading what a client sent, and no more than may be."""

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge


def read_body(most: int) -> bytes:
    """Return the body of the request. Raises RequestEntityTooLarge (413) for one of more than `most` bytes.

    Where no length is announced, Flask by itself would cut the body there and say nothing.
    """
    request.max_content_length = most + 1
    body = request.get_data(cache=False)
    if len(body) > most:
        raise RequestEntityTooLarge
    return body
