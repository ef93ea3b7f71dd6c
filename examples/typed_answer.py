"""A typed answer: checked objects instead of text, and each figure says where it was read."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from qwenbelt import Cited, FnCallAgent, endpoint


class Lot(BaseModel):
    name: str
    strength: Cited[float]  # value, file, page, quote; `verified` is set by code


if __name__ == "__main__":
    notes = Path("mill.txt")
    notes.write_text("Lot A has 412 MPa.\nLot B has 398 MPa.\n", encoding="utf-8")
    agent = FnCallAgent(["document_search"], llm=endpoint(otherwise=__file__))
    result = agent.ask("How strong is each lot, in MPa?", files=[notes], answer=list[Lot])
    for lot in result.value:
        mark = "" if lot.strength.verified else "  (the quote does not stand there)"
        print(f"{lot.name}: {lot.strength.value:.0f} MPa{mark}")
