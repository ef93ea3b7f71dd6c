"""DashScope's services besides chat: web search with sources, files, batches, OCR, vectors, rerank.

Chat, thinking, tools, pictures, sound and video go through the chat model. Here the
OpenAI-compatible paths are used where they exist; web search with its sources, OCR tasks, rerank
and large uploads exist only in DashScope's own protocol, so those go through its official SDK.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.models.dialects import DIALECTS
from qwenbelt.agents.models.encoding import FILE_SCHEME, MAX_FILE_BYTES, inline_url
from qwenbelt.agents.models.endpoints import given_url, key_of
from qwenbelt.core.errors import EndpointError, InputError, one_line
from qwenbelt.core.files import write_text
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.limits import input_file

if TYPE_CHECKING:
    from openai import OpenAI

EMBEDDING_ROWS = 10  # texts a request of text-embedding-v3 and v4 may hold
BATCH_LINES = 50_000  # requests a batch file may hold
MAX_UPLOAD_BYTES = 150 * 1024 * 1024  # of a document; pictures: 20 MB
OCR_TASKS = (
    "text_recognition",
    "key_information_extraction",
    "table_parsing",
    "document_parsing",
    "formula_recognition",
    "multi_lan",
    "advanced_recognition",
)


@dataclass(frozen=True)
class WebSource:
    """A page that a searched answer is based on; `n` is its number in the answer, from 1."""

    n: int
    title: str
    url: str


@dataclass(frozen=True)
class SearchedAnswer:
    """An answer with its sources."""

    text: str
    sources: tuple[WebSource, ...]


@dataclass(frozen=True)
class Ranked:
    """A document of a rerank: its place in the given list, and its score from 0 to 1."""

    index: int
    score: float


@dataclass
class BatchState:
    """A batch as its service reports it.

    Attributes:
        status: "validating", "in_progress", "finalizing", "completed", "failed", "expired",
            "cancelling" or "cancelled".
        counts: requests in all, completed and failed.
    """

    id: str
    status: str
    counts: dict[str, int] = field(default_factory=dict)
    output_file: str = ""
    error_file: str = ""

    @property
    def is_over(self) -> bool:
        """Whether everything is final."""
        return self.status in ("completed", "failed", "expired", "cancelled")


class DashScope:
    """DashScope's further modes.

    Args:
        api_key: the key; without it `DASHSCOPE_API_KEY` or the settings file.
        url: the compatible-mode URL, otherwise `DASHSCOPE_BASE_URL` or Beijing's; DashScope's own
            protocol is found beside it.
        timeout: seconds for one request.

    Raises:
        ConfigError: there is no key.
    """

    def __init__(self, api_key: str = "", url: str = "", timeout: float = 120.0) -> None:
        dialect = DIALECTS["dashscope"]
        self.url = (url or given_url(dialect) or dialect.url).rstrip("/")
        self.own_url = self.url.removesuffix("/compatible-mode/v1") + "/api/v1"
        cfg = {"api_key": api_key, "model_server": self.url}
        self._key = key_of(cfg, dialect)
        self._timeout = timeout
        self._openai: OpenAI | None = None

    def close(self) -> None:
        """Closes the connections."""
        if self._openai is not None:
            self._openai.close()
            self._openai = None

    @property
    def _client(self) -> OpenAI:
        if self._openai is None:
            from openai import OpenAI

            self._openai = OpenAI(
                base_url=self.url, api_key=self._key, timeout=self._timeout, max_retries=2
            )
        return self._openai

    # -- web search -----------------------------------------------------------------------------

    def search(self, question: str, model: str = "qwen-plus", **options: Any) -> SearchedAnswer:
        """Answers with the built-in web search, with numbered citations and their sources.

        Raises:
            EndpointError: the service failed or refused.
        """
        import dashscope

        settings = {"enable_source": True, "enable_citation": True, "forced_search": True}
        output = self._own(
            dashscope.Generation,
            model=model,
            messages=[{"role": "user", "content": question}],
            result_format="message",
            enable_search=True,
            search_options={**settings, "citation_format": "[<number>]", **options},
        )
        found = (output.get("search_info") or {}).get("search_results") or []
        sources = [
            WebSource(int(entry.get("index", n)), str(entry.get("title", "")), str(entry["url"]))
            for n, entry in enumerate(found, 1)
            if entry.get("url")
        ]
        return SearchedAnswer(_text_of(output), tuple(sources))

    # -- documents and pictures -----------------------------------------------------------------

    def upload_document(self, path: str | Path) -> str:
        """Uploads a document for understanding by id; returns what a message refers to it by.

        Put it into a system message of `qwen-long` or another model that reads files.

        Raises:
            InputError: the file is missing, empty or too large.
            EndpointError: the service refused it.
        """
        file = input_file(path, max_bytes=MAX_UPLOAD_BYTES)
        made = self._call(lambda: self._client.files.create(file=file, purpose="file-extract"))  # type: ignore[arg-type]
        return f"fileid://{made.id}"

    def ask_document(
        self, question: str, files: Sequence[str], model: str = "qwen-long", **settings: Any
    ) -> str:
        """Answers a question about uploaded documents (`fileid://...`).

        Raises:
            EndpointError: the service failed or refused.
        """
        from qwen_agent.llm import get_chat_model

        messages = [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "system", "content": ",".join(files)},
            {"role": "user", "content": question},
        ]
        # our chat model, by its entry in qwen-agent's registry: it is built upon this module
        llm = {"model_type": "qwenbelt", "dialect": "dashscope", "generate_cfg": settings}
        chat = get_chat_model(
            {**llm, "model": model, "model_server": self.url, "api_key": self._key}
        )
        return str(chat.chat(messages, stream=False)[-1]["content"])

    def delete_file(self, file: str) -> None:
        """Deletes an uploaded document or batch file."""
        self._call(lambda: self._client.files.delete(file.removeprefix("fileid://")))

    def upload_media(self, path: str | Path, model: str) -> str:
        """Uploads a large picture, sound or video for one model; returns an `oss://` URL.

        Such a URL may be used wherever a message takes one, for 48 hours.
        """
        from dashscope.common.error import DashScopeException
        from dashscope.utils.oss_utils import OssUtils

        file = input_file(path, max_bytes=MAX_FILE_BYTES)
        try:
            url, _ = OssUtils.upload(model, str(file), api_key=self._key, base_address=self.own_url)
        except (DashScopeException, OSError) as error:
            raise EndpointError(f"DashScope took no upload ({one_line(error, 160)}).") from error
        return str(url)

    def read_text(
        self, image: str, task: str = "text_recognition", model: str = "qwen-vl-ocr", **options: Any
    ) -> str:
        """Returns the text of a picture by an OCR model.

        Args:
            image: a path, URL or data URL.
            task: one of `OCR_TASKS`.
            model: the OCR model.
            **options: `task_config` and further fields of the task.
        """
        import dashscope

        if task not in OCR_TASKS:
            raise InputError(f"The OCR task must be one of {', '.join(OCR_TASKS)}, not {task!r}.")
        url = inline_url(image)
        if url.startswith(FILE_SCHEME):
            url = self.upload_media(url.removeprefix(FILE_SCHEME), model)
        content = [{"image": url, "min_pixels": 3136, "max_pixels": 6422528}]
        output = self._own(
            dashscope.MultiModalConversation,
            model=model,
            messages=[{"role": "user", "content": content}],
            ocr_options={"task": task, **options},
        )
        return _text_of(output)

    # -- vectors --------------------------------------------------------------------------------

    def embed(
        self, texts: Sequence[str], model: str = "text-embedding-v4", dimensions: int | None = None
    ) -> list[list[float]]:
        """Returns a vector for each text, in order; long lists are sent in several requests."""
        out: list[list[float]] = []
        extra: dict[str, Any] = {"dimensions": dimensions} if dimensions else {}
        for start in range(0, len(texts), EMBEDDING_ROWS):
            rows = list(texts[start : start + EMBEDDING_ROWS])

            def ask(rows: list[str] = rows) -> Any:
                return self._client.embeddings.create(
                    model=model, input=rows, encoding_format="float", **extra
                )

            reply = self._call(ask)
            out += [entry.embedding for entry in sorted(reply.data, key=lambda e: e.index)]
        return out

    def rerank(
        self, query: str, documents: Sequence[str], model: str = "qwen3-rerank", top: int = 0
    ) -> list[Ranked]:
        """Returns the documents by their relevance to the query, best first."""
        import dashscope

        extra = {"top_n": top} if top else {}
        output = self._own(
            dashscope.TextReRank, model=model, query=query, documents=list(documents), **extra
        )
        results = output.get("results") or []
        return [Ranked(int(r["index"]), float(r["relevance_score"])) for r in results]

    # -- batches --------------------------------------------------------------------------------

    def submit_batch(self, bodies: Iterable[Mapping[str, Any]], folder: str | Path) -> BatchState:
        """Submits chat completions bodies as a batch, at half the price; nothing is sent twice.

        The batch's id is kept in `folder/batch.json`, so that a later process can resume it;
        a folder that already holds one is resumed.

        Raises:
            InputError: there are no bodies, or too many.
        """
        place = Path(folder)
        state = place / "batch.json"
        if state.is_file():
            return self.batch(json.loads(state.read_text(encoding="utf-8"))["id"])
        lines = [
            json.dumps(
                {
                    "custom_id": str(number),
                    "method": "POST",
                    "url": "/v1/chat/completions",
                    "body": dict(body),
                },
                ensure_ascii=False,
            )
            for number, body in enumerate(bodies)
        ]
        if not 0 < len(lines) <= BATCH_LINES:
            raise InputError(f"A batch holds 1 to {BATCH_LINES} requests, not {len(lines)}.")
        requests = place / "requests.jsonl"
        write_text(requests, "\n".join(lines) + "\n")
        sent = self._call(lambda: self._client.files.create(file=requests, purpose="batch"))
        made = self._call(
            lambda: self._client.batches.create(
                input_file_id=sent.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        )
        write_text(state, json.dumps({"id": made.id}))
        return _batch_state(made)

    def batch(self, identity: str) -> BatchState:
        """Returns the state of a batch."""
        return _batch_state(self._call(lambda: self._client.batches.retrieve(identity)))

    def wait_batch(
        self, identity: str, *, every: float = 30.0, most: float = 86400.0
    ) -> BatchState:
        """Polls until a batch is over, or `most` seconds have passed; returns its state."""
        until = time.monotonic() + most
        while True:
            state = self.batch(identity)
            if state.is_over or time.monotonic() >= until:
                return state
            time.sleep(min(every, max(0.0, until - time.monotonic())))

    def collect_batch(self, state: BatchState) -> dict[int, dict[str, Any] | EndpointError]:
        """Returns each reply's body, or its error, by the place of its request."""
        out: dict[int, dict[str, Any] | EndpointError] = {}
        for file in filter(None, (state.output_file, state.error_file)):
            text = self._call(lambda file=file: self._client.files.content(file).text)
            for line in text.splitlines():
                if line.strip():
                    number, value = _batch_line(loads_bounded(line))
                    out[number] = value
        return out

    # -- the two protocols ----------------------------------------------------------------------

    def _call(self, action: Any) -> Any:
        from openai import APIConnectionError, APIStatusError, OpenAIError

        try:
            return action()
        except APIStatusError as error:
            raise EndpointError(
                f"DashScope answered {error.status_code}: {one_line(error.message, 300)}",
                status=error.status_code,
                code=str(error.code or ""),
            ) from error
        except APIConnectionError as error:
            cause = one_line(error.__cause__ or error, 160)
            raise EndpointError(
                f"DashScope cannot be reached ({cause}).", retryable=True
            ) from error
        except OpenAIError as error:
            raise EndpointError(f"DashScope: {one_line(error, 300)}") from error

    def _own(self, api: Any, **arguments: Any) -> Mapping[str, Any]:
        """Calls DashScope's own protocol by its SDK; returns the output."""
        import requests
        from dashscope.common.error import DashScopeException

        try:
            reply = api.call(
                api_key=self._key,
                base_address=self.own_url,
                request_timeout=self._timeout,
                **arguments,
            )
        except (DashScopeException, requests.RequestException) as error:
            raise EndpointError(
                f"DashScope cannot be used ({one_line(error, 200)}).", retryable=True
            ) from error
        except (TypeError, KeyError, ValueError) as error:
            # the SDK trusts the form of a reply
            raise EndpointError(f"DashScope sent an unexpected reply ({error!r:.160}).") from error
        if reply.status_code != 200:
            raise EndpointError(
                f"DashScope answered {reply.status_code}: {one_line(reply.message, 300)}",
                status=reply.status_code,
                code=str(reply.code or ""),
            )
        return dict(reply.output or {})


def _text_of(output: Mapping[str, Any]) -> str:
    choices = output.get("choices") or []
    content = choices[0]["message"]["content"] if choices else output.get("text") or ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in content)


def _batch_state(made: Any) -> BatchState:
    counts = made.request_counts
    numbers: dict[str, int] = {}
    if counts is not None:
        numbers = {"total": counts.total, "completed": counts.completed, "failed": counts.failed}
    return BatchState(
        made.id,
        made.status,
        numbers,
        made.output_file_id or "",
        made.error_file_id or "",
    )


def _batch_line(entry: Mapping[str, Any]) -> tuple[int, dict[str, Any] | EndpointError]:
    number = int(entry["custom_id"])
    reply = entry.get("response") or {}
    if entry.get("error") or reply.get("status_code", 200) != 200:
        error = entry.get("error") or (reply.get("body") or {}).get("error") or {}
        return number, EndpointError(
            one_line(error.get("message") or "failed", 300), code=str(error.get("code") or "")
        )
    return number, dict(reply["body"])
