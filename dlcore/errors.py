"""The one exception that a user can mend."""


class UsageError(Exception):
    """Bad input, found before any work is lost. The message names the cause and the way out; commands exit with code 2."""
