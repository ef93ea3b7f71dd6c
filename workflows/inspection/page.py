"""The report of an inspection as one HTML page: its filters are plain inputs, nothing in it runs.

Crops and reduced pictures are inside the page. A picture leads to its annotated copy in full size,
in the folder beside the page; without that folder the page still shows everything.
"""

from __future__ import annotations

import base64
import functools
import io
from html import escape
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from qwenbelt.workflows.inspection.rules import SEVERITIES, Rules
from qwenbelt.workflows.inspection.views import Row

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_SIDE, _MANY, _SMALL_SIDE = 900, 80, 420  # pixels; pictures from which on they are shown smaller


def inspection_page(data: Row, rules: Rules, folder: Path) -> str:
    """Returns the page.

    Args:
        data: what `report_data` made.
        rules: name the classes of the filters.
        folder: where the pictures are.
    """
    page = _InspectionPage(data, rules, folder)
    lang = "zh-CN" if data["language"] == "zh" else "en"
    title = escape(data["title"])
    style = resources.files("qwenbelt.workflows.inspection").joinpath("page.css").read_text("utf-8")
    return (
        f'<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}{page.filter_rules()}</style></head>\n<body><main>"
        f'<h1>{title}</h1><p class="faint">{escape(data["subtitle"])}</p>'
        f"{page.tiles()}{page.worst()}{page.tables()}{page.moments()}"
        f"{page.filters()}{page.pictures()}{page.rest()}</main></body></html>\n"
    )


class _InspectionPage:
    """Writes the parts."""

    def __init__(self, data: Row, rules: Rules, folder: Path) -> None:
        self._data = data
        self._words = {name: escape(text) for name, text in data["words"].items()}
        self._rules = rules
        self._folder = folder
        self._picture = functools.cache(self._embedded)
        present = {name for section in data["pages"] for name in section["classes"]}
        self._classes = [name for name in rules.classes if name in present]
        self._side = _SIDE if len(data["pages"]) <= _MANY else _SMALL_SIDE

    def tiles(self) -> str:
        names = ("pictures", *SEVERITIES, "failed")

        def tile(name: str) -> str:
            count = self._data["counts"][name]
            kind = "zero" if not count else f"s-{name}"
            return f'<div class="{kind}"><b>{count}</b>{self._words[name]}</div>'

        return f'<div class="tiles">{"".join(map(tile, names))}</div>'

    def worst(self) -> str:
        found = self._data["worst"]
        if found is None:
            return f'<p class="worst s-fine">{self._words["none"]}</p>'
        place = f'<a href="#{found["key"]}">{escape(found["image"])}</a>: {escape(found["where"])}'
        return (
            f'<section class="worst s-{found["severity"]}">{self._image(found["crop"])}'
            f"<div><small>{self._words['worst']}</small><p>{self._badge(found)} "
            f"<strong>{escape(found['name'])}</strong></p><p>{place}</p>{self._reason(found)}"
            "</div></section>"
        )

    def tables(self) -> str:
        data, words = self._data, self._words
        rows = [(row["severity"], row["cells"]) for row in data["classes"]]
        out = self._table([words[name] for name in ("class", "grade", "count")], rows)
        out += self._table(map(escape, data["score_head"]), [("", row) for row in data["scores"]])
        return f'{out}<p class="faint">{escape(data["checked"])}</p>'

    def _table(self, head: object, rows: list[tuple[str, list[str]]]) -> str:
        if not rows:
            return ""
        heads = "".join(f"<th>{name}</th>" for name in head)  # type: ignore[attr-defined]
        body = ""
        for severity, cells in rows:
            dot = f'<i class="dot s-{severity}"></i>' if severity else ""
            body += "<tr>" + "".join(
                f"<td>{dot if n == 0 else ''}{escape(cell)}</td>" for n, cell in enumerate(cells)
            )
        return f'<div class="wide"><table><tr>{heads}</tr>{body}</table></div>'

    def moments(self) -> str:
        events = self._data["events"]
        if not events:
            return ""
        rows = [(event["severity"], event["cells"]) for event in events]
        out = f"<h2>{self._words['moments']}</h2>"
        out += self._table(map(escape, self._data["event_head"]), rows)
        for event in events:
            strip = "".join(
                f"<figure>{self._image(m['thumbnail'])}<figcaption>{m['time']}</figcaption></figure>"
                for m in event["moments"]
            )
            name = f'<i class="dot s-{event["severity"]}"></i>{escape(event["name"])}'
            out += f'<p>{name}</p><div class="strip">{strip}</div>'
        return out

    # -- filters: radio buttons, and rules of the style sheet for what they leave out ------------

    def filters(self) -> str:
        if not self._data["pages"]:
            return ""
        severities = [("all", "", self._words["all"])]
        severities += [(name, f"s-{name}", self._words[name]) for name in SEVERITIES]
        classes = [("any", "", self._words["all"])]
        language = self._data["language"]
        classes += [
            (f"class-{n}", "", escape(self._rules.name(name, language)))
            for n, name in enumerate(self._classes)
        ]
        groups = self._choices("severity", severities) + self._choices("class", classes)
        return f'<nav class="filters" aria-label="{self._words["filter"]}">{groups}</nav>'

    @staticmethod
    def _choices(group: str, choices: list[tuple[str, str, str]]) -> str:
        buttons = "".join(
            f'<span class="{kind}"><input type="radio" name="{group}" id="f-{name}"'
            f'{" checked" if not n else ""}><label for="f-{name}">{text}</label></span>'
            for n, (name, kind, text) in enumerate(choices)
        )
        return f"<fieldset>{buttons}</fieldset>"

    def filter_rules(self) -> str:
        names = [(f"f-{name}", f"s-{name}") for name in SEVERITIES]
        names += [(f"f-class-{n}", f"class-{n}") for n in range(len(self._classes))]
        hidden = "".join(
            f"body:has(#{button}:checked) .picture:not(.{kind}) {{ display: none; }}\n"
            for button, kind in names
        )
        return f"@media screen {{ {hidden} }}" if hidden else ""

    def pictures(self) -> str:
        return "".join(map(self._section, self._data["pages"]))

    def _section(self, section: Row) -> str:
        kinds = [f"class-{self._classes.index(name)}" for name in section["classes"]]
        kinds.append(f"s-{section['severity']}")
        full = quote(f"{self._folder.name}/{section['annotated']}")
        items = "".join(map(self._finding, section["findings"]))
        notes = "; ".join(section["notes"])
        notes = f"<small>{self._words['notes']}: {escape(notes)}</small>" if notes else ""
        return (
            f'<article class="picture {" ".join(kinds)}" id="{section["key"]}"><header>'
            f"<h3>{escape(section['name'])}</h3>{self._badge(section)}"
            f"<small>{escape(section['detail'])}</small></header>"
            f'<a href="{full}">{self._image(section["annotated"], section["index"])}</a>'
            f'<ul class="findings">{items}{notes}</ul></article>'
        )

    def _finding(self, found: Row) -> str:
        return (
            f"<li>{self._image(found['crop'])}<div>{self._badge(found)} "
            f"<b>{escape(found['name'])}</b><small>{escape(found['where'])}</small>"
            f"<small>{self._words['box'].replace('{box}', escape(found['box']))}</small>"
            f"{self._reason(found)}</div></li>"
        )

    def _reason(self, found: Row) -> str:
        said = escape(found["reason"])
        return f"<small>{self._words['reason'].replace('{reason}', said)}</small>" if said else ""

    @staticmethod
    def _badge(row: Row) -> str:
        return f'<span class="badge s-{row["severity"]}">{escape(row["severity_name"])}</span>'

    def rest(self) -> str:
        data, out = self._data, ""
        if data["clean"]:
            shown = "".join(
                f"<figure>{self._image(entry['thumbnail'])}"
                f"<figcaption>{escape(entry['name'])}</figcaption></figure>"
                for entry in data["clean"]
            )
            out += f'<h2>{self._words["sheet"]}</h2><div class="clean">{shown}</div>'
        if data["problems"]:
            rows = "".join(
                f"<p>{escape(row['name'])}<br>"
                f'<span class="problem">{escape(row["error"])}</span></p>'
                for row in data["problems"]
            )
            out += f"<h2>{self._words['problems']}</h2>{rows}"
        return out

    def _image(self, name: str, alt: str = "") -> str:
        return f'<img src="{self._picture(name)}" alt="{escape(alt)}" loading="lazy">'

    def _embedded(self, name: str) -> str:
        from PIL import Image

        path = self._folder / name
        if not path.is_file():
            return ""
        with Image.open(path) as picture:
            if max(picture.size) <= self._side:
                data = path.read_bytes()
            else:
                picture.thumbnail((self._side, self._side))
                out = io.BytesIO()
                picture.save(out, "JPEG", quality=80)
                data = out.getvalue()
        return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
