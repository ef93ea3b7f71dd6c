"""A question about a document: one call, and a result with the passages that the answer cites."""

from __future__ import annotations

from pathlib import Path

from qwenbelt import FnCallAgent, endpoint

if __name__ == "__main__":
    notes = Path("mill.txt")
    notes.write_text("The mean tensile strength of lot A is 412 MPa.\n", encoding="utf-8")
    agent = FnCallAgent(["document_search"], llm=endpoint(otherwise=__file__))
    result = agent.ask("How strong is lot A?", files=[notes])
    print(result.text)
    for citation in result.citations:
        found = "found again" if citation.verified else "not found"
        print(f"[{citation.n}] {citation.file} p. {citation.page}, {found}: {citation.quote}")
    print(f"{result.usage.requests} requests, ended by: {result.reason}")
