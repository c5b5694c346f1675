"""The root of this package's errors."""


class QueuedError(Exception):
    """Something expected went wrong; the message is always one clear line for a person."""
