"""Passages put in a better order by a model that reads them with the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from qwenbelt.core.errors import EndpointError
from qwenbelt.tools.documents.search.embedding import key_for, named_service
from qwenbelt.tools.documents.search.http_post import post

DEPTH = 40  # passages that are handed over
MAX_CHARACTERS = 4000  # of one passage
_DASHSCOPE = "https://dashscope.aliyuncs.com/api/v1/services/rerank/text-rerank/text-rerank"


class Reranker(Protocol):
    """Returns how well passages answer a question."""

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """Returns one score a passage; higher is better."""
        ...


class EndpointReranker:
    """Asks an endpoint: `/rerank` in the form of vLLM, Jina and Cohere, or DashScope's own.

    Args:
        model: its name there.
        url: the whole URL of the path that ranks.
        key: the API key, or "".
        native: DashScope's form, with `input` and `output`.
    """

    def __init__(self, model: str, url: str, *, key: str = "", native: bool = False) -> None:
        self._model, self._url, self._key, self._native = model, url, key, native

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """Returns one score a passage.

        Raises:
            EndpointError: the endpoint refuses or cannot be reached, after some tries.
        """
        texts = [text[:MAX_CHARACTERS] for text in passages]
        body: dict[str, Any] = {"query": question, "documents": texts}
        if self._native:
            parameters = {"top_n": len(texts), "return_documents": False}
            body = {"model": self._model, "input": body, "parameters": parameters}
        else:
            body |= {"model": self._model, "top_n": len(texts)}
        answer = post(self._url, body, self._key)
        try:
            rows = (answer["output"] if self._native else answer)["results"]
            found = {int(row["index"]): float(row["relevance_score"]) for row in rows}
        except (KeyError, TypeError, ValueError) as error:
            raise EndpointError(f"{self._url}: the answer holds no scores.") from error
        return [found.get(n, float("-inf")) for n in range(len(texts))]


def reranker(spec: str) -> Reranker:
    """Returns what a spec names: `dashscope:gte-rerank-v2`, or `vllm:MODEL@http://host:8000/v1`.

    Raises:
        ConfigError: the spec is not understood, or a key is missing.
    """
    kind, service, model, url = named_service(spec, "ranking")
    key = key_for(kind, service, url)
    if kind == "dashscope" and url == service.url:
        return EndpointReranker(model, _DASHSCOPE, key=key, native=True)
    return EndpointReranker(model, f"{url.rstrip('/')}/rerank", key=key)
