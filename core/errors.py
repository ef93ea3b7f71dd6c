"""The error hierarchy, split by who must act.

    QwenbeltError
    ├── ConfigError        the person who set it up; carries the fix
    │   └── NoEndpointError  no model endpoint is configured or found
    ├── InputError         the person who gave a file, a URL or an argument
    ├── EndpointError      the model's endpoint; `.retryable` says whether trying again can help
    ├── ToolError          the model: one line that it can act on
    │   ├── ToolTimeout    a tool ran longer than its limit
    │   └── ToolCancelled  the user or the owner of the run stopped the call
    ├── AnswerInvalid      the model, or who asked: a typed answer that does not fit its form
    ├── ToolRefused        policy: the call is not allowed as things are set up
    └── LimitExceeded      a budget: calls, tokens, seconds or money

Every message is one line. `exit_code` is what the command line returns for it.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_ENDPOINT = 3
EXIT_REFUSED = 4
EXIT_INTERRUPTED = 130


class QwenbeltError(Exception):
    """The base of all errors that this package raises on purpose.

    Attributes:
        fix: what fixes it, as one sentence or command, or None.
        exit_code: the exit code of the command line for this error.
    """

    exit_code = EXIT_FAILED

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        if not self.fix:
            return self.message
        joint = " " if self.message.endswith((".", "!", "?", "。")) else ". "
        return f"{self.message}{joint}{self.fix}"


class ConfigError(QwenbeltError):
    """Something is set up wrongly or missing; the person who set it up must act."""

    exit_code = EXIT_USAGE


class NoEndpointError(ConfigError):
    """No model endpoint is configured and none was found on this machine."""

    exit_code = EXIT_ENDPOINT


class InputError(QwenbeltError):
    """A file, URL or argument that a person gave cannot be used."""


class EndpointError(QwenbeltError):
    """The model's endpoint failed or refused.

    Attributes:
        status: the HTTP status, or None when there was no reply.
        retryable: whether the same request may succeed later.
        retry_after: seconds that the endpoint asked to wait, or None.
        code: the endpoint's own error code, for example "context_length_exceeded", or None.
    """

    exit_code = EXIT_ENDPOINT

    def __init__(
        self,
        message: str,
        *,
        fix: str | None = None,
        status: int | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, fix=fix)
        self.status = status
        self.retryable = retryable
        self.retry_after = retry_after
        self.code = code


class ToolError(QwenbeltError):
    """A tool could not do what was asked; the message is for the model, one line."""


class AnswerInvalid(QwenbeltError):
    """The model's typed answer does not fit its form, after repairs; names the field."""


class ToolTimeout(ToolError):
    """A tool ran longer than its limit and was stopped or left behind."""


class ToolCancelled(ToolError):
    """A call was stopped by the user or by the owner of the run."""


class ToolRefused(QwenbeltError):
    """Policy does not allow the call as things are set up."""

    exit_code = EXIT_REFUSED


class LimitExceeded(QwenbeltError):
    """A budget of the run is used up."""


def one_line(text: object, limit: int = 500) -> str:
    """Returns `text` folded to one line of at most `limit` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
