"""The exceptions that end a command with a message instead of a traceback."""


class UsageError(Exception):
    """Bad input, found before any work is lost. The message names the cause and the way out; commands exit with code 2."""


class PeerLost(Exception):
    """Another process of the run has died or does not answer. Nothing is wrong here: commands exit with code 75, to be resumed."""
