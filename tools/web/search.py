"""Web search by whichever provider is configured.

| provider | set |
|---|---|
| SearXNG (your own) | SEARXNG_URL |
| Serper | SERPER_API_KEY |
| Tavily | TAVILY_API_KEY |
| DashScope's built-in search | DASHSCOPE_API_KEY |

Request and reply forms follow the providers' own API documentation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qwenbelt.core.errors import ConfigError, EndpointError, one_line
from qwenbelt.core.secrets import mask_secrets, remember_secret

SECONDS = 20.0


@dataclass(frozen=True)
class WebHit:
    """A result of a web search."""

    title: str
    url: str
    snippet: str


@dataclass(frozen=True)
class Provider:
    """A search service: the variable that configures it, and how to ask it."""

    name: str
    variable: str
    ask: Callable[[str, str, int], list[WebHit]]


def _post_json(url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
    return _request_json("POST", url, json=dict(body), headers=dict(headers))


def _request_json(method: str, url: str, **options: Any) -> Any:
    import httpx

    try:
        reply = httpx.request(method, url, timeout=SECONDS, **options)
        reply.raise_for_status()
        return reply.json()
    except (httpx.HTTPError, ValueError) as error:
        reason = mask_secrets(one_line(error))
        raise EndpointError(f"The search service did not answer ({reason}).") from error


def _searxng(base: str, query: str, count: int) -> list[WebHit]:
    url = base.rstrip("/") + "/search"
    found = _request_json("GET", url, params={"q": query, "format": "json"})
    return _search_hits(found.get("results"), "title", "url", "content")[:count]


def _serper(key: str, query: str, count: int) -> list[WebHit]:
    url = os.environ.get("SERPER_URL", "https://google.serper.dev/search")
    found = _post_json(url, {"q": query, "num": count}, {"X-API-KEY": key})
    return _search_hits(found.get("organic"), "title", "link", "snippet")[:count]


def _tavily(key: str, query: str, count: int) -> list[WebHit]:
    url = os.environ.get("TAVILY_URL", "https://api.tavily.com/search")
    found = _post_json(
        url, {"query": query, "max_results": count}, {"Authorization": f"Bearer {key}"}
    )
    return _search_hits(found.get("results"), "title", "url", "content")[:count]


def _dashscope(key: str, query: str, count: int) -> list[WebHit]:
    url = os.environ.get(
        "DASHSCOPE_GENERATION_URL",
        "https://dashscope.aliyuncs.com/api/v1/services/aigc/text-generation/generation",
    )
    body = {
        "model": "qwen-plus",
        "input": {"messages": [{"role": "user", "content": query}]},
        "parameters": {
            "result_format": "message",
            "enable_search": True,
            "search_options": {"forced_search": True, "enable_source": True},
        },
    }
    output = _post_json(url, body, {"Authorization": f"Bearer {key}"}).get("output") or {}
    info = output.get("search_info") or {}
    hits = _search_hits(info.get("search_results"), "title", "url", "snippet")[:count]
    choices = output.get("choices") or [{}]
    answer = str((choices[0].get("message") or {}).get("content") or "")
    return [WebHit("DashScope", "", answer), *hits] if answer else hits


def _search_hits(entries: Any, title: str, url: str, text: str) -> list[WebHit]:
    found = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping):
            values = (str(entry.get(name) or "") for name in (title, url, text))
            found.append(WebHit(*values))
    return found


PROVIDERS = (
    Provider("searxng", "SEARXNG_URL", _searxng),
    Provider("serper", "SERPER_API_KEY", _serper),
    Provider("tavily", "TAVILY_API_KEY", _tavily),
    Provider("dashscope", "DASHSCOPE_API_KEY", _dashscope),
)


def configured_providers() -> list[Provider]:
    """Returns the providers that are set up, in order of preference."""
    return [p for p in PROVIDERS if os.environ.get(p.variable)]


def search_web(query: str, count: int = 8, provider: str = "") -> list[WebHit]:
    """Returns web pages that fit a query.

    Args:
        query: what to look for.
        count: how many results at most.
        provider: a provider's name; the first one that is configured when empty.

    Raises:
        ConfigError: no provider, or not the wanted one, is configured.
        EndpointError: the provider did not answer.
    """
    ready = [p for p in configured_providers() if provider in ("", p.name)]
    if not ready:
        variables = ", ".join(p.variable for p in PROVIDERS if provider in ("", p.name))
        raise ConfigError(
            "No web search is configured.", fix=f"Set one of: {variables or 'SEARXNG_URL'}."
        )
    value = os.environ[ready[0].variable]
    if ready[0].variable.endswith("_KEY"):
        remember_secret(value)
    return ready[0].ask(value, query, count)
