"""Known at the end of a pytest run: unused cassettes and goldens, outcomes of scenarios."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.jsons import loads_bounded

KEPT = (("golden", ".md"), ("cassettes", ".cassette.yaml"))
PROPERTY = "qwenbelt"


class Accounts:
    """A plugin object; with pytest-xdist there is one on each worker and one on the controller.

    Attributes:
        used: golden files and cassettes that tests used.
        modules: test modules that were collected.
        partial: whether only some tests of the modules run.
        skipped: modules of which a test was skipped.
        outcomes: how scenarios went, as `Outcome` dicts.
    """

    NAME = "qwenbelt-accounts"

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.used: set[Path] = set()
        self.modules: set[Path] = set()
        self.partial = any("::" in argument for argument in config.args)
        self.skipped: set[str] = set()
        self.outcomes: list[dict[str, Any]] = []
        self.unused: list[Path] = []
        self.verdict: list[str] = []

    @classmethod
    def of(cls, config: pytest.Config) -> Accounts:
        """Returns the accounts of a run."""
        found = config.pluginmanager.get_plugin(cls.NAME)
        if not isinstance(found, cls):
            raise pytest.UsageError("qwenbelt's pytest plugin is not active.")
        return found

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Notes which modules have tests that keep files."""
        for item in items:
            if {"golden", "cassette"} & set(getattr(item, "fixturenames", ())):
                self.modules.add(item.path)

    def pytest_deselected(self, items: Iterable[pytest.Item]) -> None:
        """Notes that not all tests run."""
        self.partial = self.partial or any(True for _ in items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes the outcome of a scenario from its report."""
        if report.skipped:
            self.skipped.add(report.nodeid.partition("::")[0])
        if report.when == "call":
            self.outcomes += [
                loads_bounded(str(v)) for name, v in report.user_properties if name == PROPERTY
            ]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """Takes over a worker's accounts."""
        sent = getattr(node, "workeroutput", {}).get(self.NAME)
        if sent:
            self.used |= {Path(path) for path in sent["used"]}
            self.modules |= {Path(path) for path in sent["modules"]}
            self.partial = self.partial or sent["partial"]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Finds unused files, writes reports, compares with earlier results."""
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output[self.NAME] = {
                "used": [str(path) for path in self.used],
                "modules": [str(path) for path in self.modules],
                "partial": self.partial,
            }
            return
        if exitstatus == pytest.ExitCode.OK and not self.partial:
            self.unused = sorted(self._unused())
        if self.unused and os.environ.get("CI"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self.outcomes:
            self._report(session)

    def _unused(self) -> Iterable[Path]:
        skipped = {(self.config.rootpath / name).resolve() for name in self.skipped}
        for module in self.modules - skipped:
            for folder, suffix in KEPT:
                files = (module.parent / folder / module.stem).glob(f"*{suffix}")
                yield from (path for path in files if path not in self.used)

    def _report(self, session: pytest.Session) -> None:
        from qwenbelt.testing.trials.outcomes import finish_trials

        options = {
            name: self.config.getoption(f"qwenbelt_{name}")
            for name in ("html_report", "results", "against")
        }
        self.verdict, worse = finish_trials(self.outcomes, **options)
        if worse:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Reports unused files and pass rates."""
        if self.unused:
            terminalreporter.section("unused files")
            for path in self.unused:
                terminalreporter.line(f"{path}: no test used it; remove it")
        if self.verdict:
            terminalreporter.section("scenarios")
            for line in self.verdict:
                terminalreporter.line(line)
