"""The exceptions that end a command with a message instead of a traceback."""


class UsageError(Exception):
    """Bad input, found before any work is lost. The message names the cause and the way out; commands exit with code 2."""


class Disrupted(Exception):
    """Something outside stopped the run: another process is gone, a save took too long. Commands exit with code 75, to be resumed."""
