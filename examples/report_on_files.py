"""The main job in Python: files and a question in, a report with checked citations out."""

from __future__ import annotations

import sys

from qwenbelt.workflows.report import check_report, report


def main(out: str, question: str, *files: str) -> None:
    # llm=endpoint("dashscope:qwen-plus") names a model; without one the report is extractive
    result = report(files, question, out)
    print(result.pdf)
    for citation in result.document.citations:
        print(f"[{citation.n}] {citation.file} p. {citation.page}: {citation.quote[:60]}")
    check = check_report(out)
    print(f"{check.verified} of {check.citations} citations stand on their pages")


if __name__ == "__main__":
    if len(sys.argv) <= 3:
        sys.exit("usage: python report_on_files.py OUT QUESTION FILE.pdf...")
    main(*sys.argv[1:])
