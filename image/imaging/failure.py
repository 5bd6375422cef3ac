"""The one way in which a step of the build ends early."""


class Failure(Exception):
    """A message for a person, and what to do next."""

    def __init__(self, message, hint=""):
        super().__init__(message)
        self.hint = hint
