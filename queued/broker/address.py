"""What is needed to connect to the broker."""

import ssl
from typing import Any

import pika

from queued.settings import Settings


def parameters(settings: Settings, name: str) -> Any:
    """Return pika's parameters; `name` is what the broker shows of the connection.

    With amqps the broker's certificate is checked, by the authority of the settings if they name one.
    """
    made = pika.URLParameters(settings.broker_url)
    made.client_properties = {"connection_name": f"queued {name}"}
    if made.ssl_options is not None and settings.ca_file is not None:
        made.ssl_options = pika.SSLOptions(ssl.create_default_context(cafile=settings.ca_file), made.host)
    return made
