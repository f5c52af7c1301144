"""The error of a wrong command line."""


class UsageError(ValueError):
    """The command line is wrong; the message says which option, and what it expects."""
