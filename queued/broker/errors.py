"""What can go wrong with the broker."""

from queued.errors import QueuedError


class BrokerError(QueuedError):
    """The broker can't be reached, or does not answer in time. The message holds no address."""


class NotConfirmed(BrokerError):
    """The broker did not take the message, or the record before it could not be written."""
