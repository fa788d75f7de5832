"""The one exception that reaches an artist."""


class WetgateError(Exception):
    """A sentence for an artist: what is wrong, with which file or frame, and what to do."""
