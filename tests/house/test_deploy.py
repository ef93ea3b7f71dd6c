"""The files in `deploy/` say what the programs really take, serve and count."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from qwenbelt.apps.cli import root
from qwenbelt.apps.serve import AgentServer, ServeOptions
from qwenbelt.apps.serve.metrics import Metrics

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def _documents() -> list[dict[str, Any]]:
    return [d for path in MANIFESTS for d in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def _compose() -> dict[str, Any]:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text)["services"])


def _containers() -> list[dict[str, Any]]:
    specs = [d["spec"]["template"]["spec"] for d in _documents() if d["kind"] == "Deployment"]
    return [container for spec in specs for container in spec["containers"]]


def test_the_manifests_are_valid() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    assert len(MANIFESTS) >= 2
    for document in _documents():
        validate.validate(document, validate.latest_version(), strict=True)


def test_the_commands_take_the_options() -> None:
    commands = [container["args"] for container in _containers()]
    commands += [service["command"] for service in _compose().values() if "command" in service]
    assert len(commands) == 3
    for words in commands:
        command: click.Command = root()
        context = click.Context(command, info_name="qwenbelt")
        while isinstance(command, click.Group):
            name, found, words = command.resolve_command(context, list(map(str, words)))
            assert found is not None
            command, context = found, click.Context(found, parent=context, info_name=name)
        command.parse_args(context, list(words))


def test_probes_ask_what_is_served() -> None:
    app = AgentServer(object(), ServeOptions(), set()).app()
    served = {getattr(route, "path", "") for route in app.routes}
    asked = {
        probe["httpGet"]["path"]
        for container in _containers()
        for name, probe in container.items()
        if name.endswith("Probe")
    }
    asked |= set(re.findall(r"health_uri (\S+)", (DEPLOY / "Caddyfile").read_text("utf-8")))
    scraped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    asked |= {job["metrics_path"] for job in scraped}
    assert asked == {"/healthz", "/readyz", "/metrics"}
    assert asked <= served


def test_the_dashboard_shows_what_is_counted() -> None:
    metrics = Metrics()
    metrics.answered("/v1/models", 200)
    metrics.began()
    metrics.first_piece(0.1)
    metrics.ended(0.2, 1, 2, 3)
    counted = set(re.findall(r"^(qwenbelt_\w+)", metrics.text(), re.MULTILINE))
    counted = {name for name in counted if not name.endswith("_created")}  # when, not how many
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"qwenbelt_\w+", target["expr"])
    }
    assert asked
    assert asked <= counted
    kinds = {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in asked}
    assert kinds == {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in counted}


def test_what_is_mounted_is_there() -> None:
    mounted = [str(v) for service in _compose().values() for v in service.get("volumes", ())]
    files = [v.partition(":")[0] for v in mounted if v.startswith("./")]
    assert len(files) == 5
    assert all((DEPLOY / Path(file)).is_file() for file in files)


def test_no_container_has_more_rights_than_it_needs() -> None:
    for container in _containers():
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
    serve = _compose()["serve"]
    assert serve["read_only"] is True
    assert serve["cap_drop"] == ["ALL"]
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert re.findall(r"(?:0\.0\.0\.0|^ +- \"?\d+):\d+", text, re.MULTILINE) == []
