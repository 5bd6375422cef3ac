"""How a step ends when it does not end well."""


class Wait(Exception):
    """Something from outside is needed; the step is tried again when the outside may have changed, for ever."""

    def __init__(self, message, hint=""):
        super().__init__(message)
        self.hint = hint


class Refused(Wait):
    """What came from outside is not taken. The same until something else comes."""


class Failed(Wait):
    """Something of this machine did not work; it is tried again, each time a little later."""
