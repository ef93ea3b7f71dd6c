"""Classifies the refusals of endpoints: by status first, by code next, by words last.

The words are those of the sources beside them; general rules are behind the tables, since
gateways put words of their own round those of others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from qwenbelt.core.errors import EndpointError
from qwenbelt.core.retries import PASSING_STATUSES

# names of errors that the request itself is at fault for, whatever words are beside them
_FINAL_CODES = (
    "invalidparameter",  # DashScope: InvalidParameter, InternalError.Algo.InvalidParameter
    "invalid_parameter",
    "invalidrequest",
    "invalid_request",
    "badrequest",  # vLLM, SGLang: BadRequestError
    "bad_request",
    "datainspection",  # DashScope: DataInspectionFailed, data_inspection_failed
    "data_inspection",
    "content_filter",
    "content_policy",
    "contentfilter",
    "sensitive",
    "unsupported",
    "notfound",
    "not_found",
    "authentication",
    "unauthorized",
    "invalid_api_key",
    "invalidapikey",
    "permission",
    "accessdenied",
    "access_denied",
    "forbidden",
    "context_length",
    "unprocessable",
    "validationerror",
    "validation_error",
)
_BUSY_CODES = (
    "throttl",
    "rate_limit",
    "ratelimit",
    "too_many_requests",
    "toomanyrequests",
    "overload",
    "unavailable",
    "server_error",
    "servererror",
    "internal",
    "timeout",
    "timed_out",
)
_BUSY_WORDS = (
    "rate limit",
    "ratelimit",
    "throttl",
    "overload",
    "server error",
    "server_error",
    "internal error",
    "internal server",
    "unavailable",
    "timeout",
    "timed out",
    "too many requests",
    "try again",
)
# what waiting does not fix, though it comes as 429: the account has run out (OpenAI, DashScope)
_SPENT = ("insufficient_quota", "arrearage", "billing", "prepaid", "freetieronly")
_LEADING_STATUS = re.compile(r"\A<([45]\d\d)>")  # DashScope: "<400> InternalError.Algo…"


def may_succeed_later(status: int | None, code: str, message: str) -> bool:
    """Returns whether the same request may succeed when it is sent again."""
    if _is_spent(code, message):
        return False
    told = _LEADING_STATUS.match(message)
    status = status or (int(told.group(1)) if told else None)
    if status is not None:
        return status in PASSING_STATUSES
    name = code.lower()
    if any(known in name for known in _FINAL_CODES):
        return False
    if any(known in name for known in _BUSY_CODES):
        return True
    return any(words in message.lower() for words in _BUSY_WORDS)


def _is_spent(code: str, message: str) -> bool:
    words = f"{code} {message}".lower().replace(" ", "")
    return any(word in words for word in _SPENT)


# -- a conversation that is too long ---------------------------------------------------------------

_OVERFLOW_CODES = (
    "context_length_exceeded",  # OpenAI, vLLM
    "exceed_context_size_error",  # llama.cpp
    "1261",  # GLM: Prompt 超长
    "request_too_large",  # Anthropic behind a gateway
    "contextwindowexceedederror",  # LiteLLM
    "string_above_max_length",  # OpenAI
)
_OVERFLOW_WORDS = (
    "context length",  # OpenAI, vLLM, SGLang, Ollama
    "context_length",
    "context size",  # llama.cpp
    "context window",
    "exceed_context",
    "input length",  # DashScope: Range of input length should be [1, N]
    "maximum model length",  # vLLM
    "model token limit",  # Kimi: exceeded model token limit: N (requested: M)
    "prompt is too long",  # Anthropic
    "prompt too long",
    "prompt exceeds",  # GLM: Prompt exceeds max length
    "too many tokens",  # Cohere
    "token count exceeds",  # Gemini: input token count exceeds the maximum number of tokens allowed
    "tokens_limit_reached",  # GitHub Models
    "maximum prompt length",  # xAI
    "reduce the length of the messages",
    "上下文长度",
    "超长",
)
_ABOUT = r"(?:prompt|input|context|conversation|history|messages?|request|tokens?|text)"
_OVER = r"(?:exceed\w*|too long|too large|longer than|larger than|over the (?:limit|maximum))"
_OVERFLOW_RULE = re.compile(
    rf"\b{_ABOUT}\b[^.;]{{0,60}}\b{_OVER}[^.;]{{0,60}}\b(?:tokens?|context|length|window|limit)\b"
    rf"|\b{_OVER}[^.;]{{0,40}}\b(?:context|token|prompt|input)\b[^.;]{{0,20}}"
    r"\b(?:limit|length|window|size|maximum)\b"
    r"|(?:输入|提示词|上下文|消息|token).{0,20}(?:超过|超出|超长|过长)"
    r"|(?:超过|超出).{0,20}(?:上下文|输入|最大长度|token)",
    re.IGNORECASE,
)
_NO_OVERFLOW = re.compile(
    r"max_(?:completion_|output_|new_)?tokens|per (?:min|day|hour|second)|\b[TR]PM\b|rate limit"
    r"|\btools?\b.{0,20}array|image|picture|file size|string too long",
    re.IGNORECASE,
)


def is_overflow(error: EndpointError) -> bool:
    """Returns whether an error means that the conversation is longer than the model's window."""
    if error.status == 429:
        return False
    if error.status == 413 or str(error.code or "").lower() in _OVERFLOW_CODES:
        return True
    words = f"{error.code or ''} {error.message}".lower()
    if any(known in words for known in _OVERFLOW_WORDS):
        return True
    final = error.status is None or 400 <= error.status < 500
    return final and bool(_OVERFLOW_RULE.search(words)) and not _NO_OVERFLOW.search(words)


# -- what can be left out or added -----------------------------------------------------------------

_THOUGHTS_WANTED = re.compile(
    # DeepSeek: The `reasoning_content` in the thinking mode must be passed back to the API.
    # Kimi: thinking is enabled but reasoning_content is missing in assistant tool call message
    r"reasoning(?:_content)?\W.{0,80}(?:must be|should be|is required|is missing|pass\w* back"
    r"|not found|必须|缺少|缺失)"
    r"|(?:missing|requires?|must (?:contain|include|have|pass)|expected|缺少|必须)"
    r".{0,60}reasoning(?:_content)?\b",
    re.IGNORECASE | re.S,
)
_ABOUT_TOOLS = re.compile(r"\b(?:tools?|functions?|function_declarations?|schema)\b", re.IGNORECASE)
_PLACE = re.compile(
    r"(?:tools|functions|function_declarations)(?:\[(\d+)\]|\.(\d+)\b)", re.IGNORECASE
)
_INNER_PLACE = re.compile(r"function_declarations\[(\d+)\]", re.IGNORECASE)
_TOO_MANY = re.compile(
    # OpenAI: Invalid 'tools': array too long. Expected an array with maximum length 128
    r"tools\W.{0,40}(?:too (?:long|many)|at most|maximum|more than|exceed\w*)"
    r"|too many (?:tools|functions)"
    r"|(?:maximum|max|at most|more than|limit\w*).{0,40}\b(?:tools|functions)\b",
    re.IGNORECASE | re.S,
)
_BAD = re.compile(
    r"invalid|not (?:a )?valid|unsupported|not support|schema|must (?:be|match|have|not)|unknown"
    r"|missing|required|expected|does not match|not allowed|unrecogni[sz]ed",
    re.IGNORECASE,
)


def wants_thoughts(error: EndpointError) -> bool:
    """Returns whether an endpoint refuses since the thoughts of earlier replies were left out."""
    return bool(_THOUGHTS_WANTED.search(error.message))


def refused_tools(error: EndpointError, tools: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the names of the tools without which a refused request may be taken.

    These are the one whose declaration the refusal names, or those beyond the endpoint's number.
    """
    text = error.message.partition(": ")[2] or error.message
    names = [str(tool["name"]) for tool in tools]
    if _TOO_MANY.search(text):
        numbers = [int(n) for n in re.findall(r"\b\d{1,4}\b", text)]
        most = max((n for n in numbers if 0 < n < len(names)), default=0)
        return names[most:] if most else []
    if not _ABOUT_TOOLS.search(text) or not _BAD.search(text):
        return []
    named = [
        n for n in names if re.search(rf"(?<![\w-]){re.escape(n)}(?![\w-])", _quoted_words(text))
    ]
    if named:
        return named[:1]
    place = _INNER_PLACE.search(text) or _PLACE.search(text)
    number = int(next(g for g in place.groups() if g is not None)) if place else -1
    return [names[number]] if 0 <= number < len(names) else []


def _quoted_words(text: str) -> str:
    """Returns what is in quotation marks or after the word function or tool."""
    found = re.findall(
        r"['\"`‘“]([\w.-]{1,64})['\"`’”]|\b(?:function|tool)\s+([\w-]{1,64})", text, re.IGNORECASE
    )
    return " ".join(first or second for first, second in found)


# reasons of a server that failed in the middle (vLLM, SGLang, gateways): worth another try
_FAILED = (
    "error",
    "abort",
    "aborted",
    "cancelled",
    "internal_error",
    "server_error",
    "timeout",
    "insufficient_system_resource",  # DeepSeek
    "network_error",  # GLM
    "malformed_function_call",  # Gemini
)


def check_reason(reason: str) -> None:
    """Raises an error when the endpoint itself reports a failure.

    Raises:
        EndpointError: it ended its reply as failed; the same request may succeed later.
    """
    if reason in _FAILED:
        raise EndpointError(
            f"The endpoint ended its reply with the reason {reason}.", code=reason, retryable=True
        )
