"""Research: a plan, searchers side by side, a report whose citations stand on their pages."""

from __future__ import annotations

from pathlib import Path

from qwenbelt import check_report, endpoint
from qwenbelt.workflows.research import research

if __name__ == "__main__":
    mill = Path("mill.txt")
    mill.write_text("In 2023 the mill made 120 tonnes of steel.\n", encoding="utf-8")
    mine = Path("mine.txt")
    mine.write_text("In 2023 the mine gave 300 tonnes of ore.\n", encoding="utf-8")
    result = research(
        "What did the mill and the mine yield in 2023?",
        [mill, mine],
        "yield-report",
        llm=endpoint(otherwise=__file__),
    )
    print(Path(result.markdown).read_text(encoding="utf-8"))
    check = check_report("yield-report")
    print(f"{check.verified} of {check.citations} citations stand on their pages")
