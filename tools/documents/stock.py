"""Our index under the names that qwen-agent's own agents ask for: `retrieval` and `doc_parser`.

    from qwenbelt.tools.documents.stock import replace_stock_retrieval

    replace_stock_retrieval()   # from now on, for agents that are made after it

Upstream's `Assistant`, `Memory` and people's scripts then search by our index; what they get back
has upstream's form, with the page in front of each passage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwen_agent.tools.base import TOOL_REGISTRY, BaseTool

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.documents.index import DocumentIndex
from qwenbelt.tools.documents.library import default_index, shared_index

TOP_K = 10


class Retrieval(BaseTool):  # type: ignore[misc]
    """Searches files; the result has the form of qwen-agent's `retrieval`.

    Configuration: `index` (a file or a server), `vectors`, `reranker`, `top_k`.
    """

    name = "retrieval"
    description = "从给定文件列表中检索出和问题相关的内容 / Finds what files say about a question."
    parameters = {  # noqa: RUF012 - upstream declares it so
        "type": "object",
        "properties": {
            "query": {"description": "A question or key words.", "type": "string"},
            "files": {
                "description": "Paths or URLs of files.",
                "type": "array",
                "items": {"type": "string"},
            },
        },
        "required": ["query", "files"],
    }

    def call(self, params: str | dict[str, Any], **kwargs: Any) -> list[dict[str, Any]]:
        """Returns `{"url", "text": [passage...]}` for each file that has something.

        Raises:
            ToolError: none of the files can be read.
        """
        arguments = self._verify_json_format_args(params)
        index = _index(self.cfg)
        documents, failed = _taken_in(index, arguments.get("files") or [])
        if not documents and failed:
            raise ToolError(" ".join(failed))
        if not documents:
            return []
        hits = index.search(
            arguments["query"], int(self.cfg.get("top_k", TOP_K)), files=list(documents)
        )
        found: dict[str, list[str]] = {}
        for hit in hits:
            text = "\n".join(filter(None, (f"[page: {hit.page}]", hit.context, hit.text)))
            found.setdefault(documents[hit.document], []).append(text)
        return [{"url": url, "text": texts} for url, texts in found.items()]


class DocParser(BaseTool):  # type: ignore[misc]
    """Reads a file; the result has the form of qwen-agent's `doc_parser`."""

    name = "doc_parser"
    description = "对一个文件进行内容提取和分块 / Reads a file and cuts it into passages."
    parameters = {  # noqa: RUF012 - upstream declares it so
        "type": "object",
        "properties": {"url": {"description": "A path or a URL.", "type": "string"}},
        "required": ["url"],
    }

    def call(self, params: str | dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Returns `{"url", "title", "raw": [{"content", "token", "metadata"}...]}`.

        Raises:
            ToolError: the file cannot be read.
        """
        from qwen_agent.utils.tokenization_qwen import count_tokens

        url = self._verify_json_format_args(params)["url"]
        index = _index(self.cfg)
        documents, failed = _taken_in(index, [url])
        if failed:
            raise ToolError(failed[0])
        document = index.document(next(iter(documents)))
        title = document.title or document.file
        raw: list[dict[str, Any]] = []
        for page, text in index.passages(document.id):
            content = f"[page: {page}]\n\n{text}"
            facts = {"source": url, "title": title, "chunk_id": len(raw), "page": page}
            raw.append({"content": content, "token": count_tokens(content), "metadata": facts})
        return {"url": url, "title": title, "raw": raw}


def _index(cfg: dict[str, Any]) -> DocumentIndex:
    return shared_index(
        cfg.get("index") or default_index(), cfg.get("vectors"), cfg.get("reranker")
    )


def _taken_in(index: DocumentIndex, files: list[str]) -> tuple[dict[int, str], list[str]]:
    """Returns the documents of files by id, and why the others failed."""
    documents, failed = {}, []
    for file in files:
        if Path(file).is_dir():
            failed.append(f"{file}: is a folder.")
            continue
        (added,) = index.add([file])
        if added.error:
            failed.append(added.error)
        else:
            documents[added.document] = str(file)
    return documents, failed


def replace_stock_retrieval() -> None:
    """Registers `retrieval` and `doc_parser` with qwen-agent in place of its own."""
    for tool in (Retrieval, DocParser):
        TOOL_REGISTRY[tool.name] = tool
