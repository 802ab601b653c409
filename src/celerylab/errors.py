"""Every error a user can meet. Each message is one line and says what to do; the command line turns it into an exit code."""


class CelerylabError(Exception):
    """Base of all errors that are explained to a user without a traceback.

    `exit_code` is what a command ends with; the numbers are documented in docs/cli.md.
    """

    exit_code = 1


class InputError(CelerylabError):
    """A file or an argument says something that cannot be: wrong module, wrong type, unknown variable."""

    exit_code = 2


class EngineError(CelerylabError):
    """Docker or Pulumi does not answer, or answers in a way that leaves nothing to do."""

    exit_code = 3


class AdmissionError(CelerylabError):
    """The machine lacks the memory, disk or addresses that an environment needs."""

    exit_code = 4


class ConvergeError(CelerylabError):
    """Ansible failed on a host; the message names host, role, task and what it said."""

    exit_code = 5


class LeftBehindError(CelerylabError):
    """A receipt is not empty: objects of an instance outlived its destruction."""

    exit_code = 6


class BusyError(CelerylabError):
    """Another process holds the stack; `celerylab unlock` clears a lock whose owner is gone."""

    exit_code = 7


class InterruptedRunError(CelerylabError):
    """We were asked to end (Ctrl-C, SIGTERM) while Pulumi ran, and it has ended by itself; the message says how to go on."""

    exit_code = 130
