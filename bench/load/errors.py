"""What can go wrong with a load as a whole."""


class LoadError(Exception):
    """The load could not be carried out; the message says why and what to do, for a person."""
