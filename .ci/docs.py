"""Builds the documentation, English and Chinese, and checks what was built.

    python .ci/docs.py FOLDER             # builds FOLDER/site
    python .ci/docs.py FOLDER PUBLISHED   # and lays it into PUBLISHED/VERSION, beside older ones

needs `pip install -e ".[docs]"`. The pages of `docs/` are laid out beside pages made from the
commands' `--help`, the public names' docstrings and the examples, and Zensical makes a site of
each language. A page without a Chinese version is shown in English there, and says so. Any
warning, broken link or request to another host is an error.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from house_map import house_map

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
LANGUAGES = {"en": "English", "zh": "中文"}
ONLY_ENGLISH = '!!! note "本页暂无中文版"\n\n    以下为英文原文。\n\n'
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
INCLUDE = re.compile(r"^<!-- include: (\S+) -->$", re.MULTILINE)
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
REMOTE = ("http://", "https://", "mailto:")


def main(out: Path, published: Path | None = None) -> int:
    settings = yaml.safe_load((DOCS / "site.yml").read_text(encoding="utf-8"))
    shutil.rmtree(out, ignore_errors=True)
    for language in LANGUAGES:
        folder = out / "source" / language
        stage(language, folder, settings)
        command = [sysconfig.get_path("scripts") + "/zensical", "build", "--strict"]
        done = subprocess.run([*command, "-f", folder / "mkdocs.yml"], check=False)
        if done.returncode:
            return done.returncode
    site = out / "site"
    shutil.copytree(out / "source" / "en" / "site", site)
    shutil.copytree(out / "source" / "zh" / "site", site / "zh")
    for language, folder in (("en", site), ("zh", site / "zh")):  # for models, as `llms.txt` says
        for page in (out / "source" / language / "docs").glob("*.md"):
            shutil.copy(page, folder / page.name)
    shutil.copy(DOCS / "llms.txt", site)
    pages = {page: parsed(page) for page in sorted(site.rglob("*.html"))}
    faults = [*broken_links(site, pages), *outside_requests(site, pages)]
    links = sum(len(page.links) for page in pages.values())
    print(f"{site}: {len(pages)} pages, {links} links, {len(faults)} faults")
    print("\n".join(faults), end="\n" if faults else "")
    if published is not None and not faults:
        publish(site, published, version())
    return 1 if faults else 0


def version() -> str:
    """The version whose documentation this is."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'(?m)^version = "([^"]+)"', text)
    assert found is not None
    return found[1]


def publish(site: Path, published: Path, name: str) -> None:
    """Lays a site beside those of other versions; the first page leads to the newest."""
    shutil.rmtree(published / name, ignore_errors=True)
    shutil.copytree(site, published / name)
    names = [path.name for path in published.iterdir() if (path / "index.html").is_file()]
    names.sort(key=lambda each: [int(part) for part in re.findall(r"\d+", each)], reverse=True)
    rows = [{"version": each, "title": each, "aliases": []} for each in names]
    (published / "versions.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    for each in names:  # the menu of the Chinese pages looks one folder up, too
        rows = [
            {"version": f"../{other}/zh", "title": other, "aliases": ["zh"] * (other == each)}
            for other in names
        ]
        text = json.dumps(rows, indent=1) + "\n"
        (published / each / "versions.json").write_text(text, encoding="utf-8")
    links = "".join(f'<li><a href="{each}/index.html">{each}</a></li>' for each in names)
    (published / "index.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>qwenbelt</title>'
        f'<meta http-equiv="refresh" content="0; url={names[0]}/index.html">'
        f"<h1>qwenbelt</h1><ul>{links}</ul></html>\n",
        encoding="utf-8",
    )


def stage(language: str, folder: Path, settings: dict[str, Any]) -> None:
    """Lays out one language: its pages, what is generated, and Zensical's settings."""
    pages = {path.stem: path for path in sorted(DOCS.glob("*.md"))}
    translated = {path.stem: path for path in sorted((DOCS / "zh").glob("*.md"))}
    texts = {"reference/command_line": command_line(), "examples": examples()}
    texts |= {f"reference/{name}": reference(name) for name in settings["reference"]}
    for name, path in (pages | translated if language == "zh" else pages).items():
        texts[name] = page_text(path)
    for name, text in texts.items():
        target = folder / "docs" / f"{name}.md"
        target.parent.mkdir(parents=True, exist_ok=True)
        if language == "zh" and name not in translated:
            text = re.sub(r"^(# .*\n+)", lambda title: title[0] + ONLY_ENGLISH, text, count=1)
        target.write_text(text, encoding="utf-8")
    shutil.copytree(DOCS / "pictures", folder / "docs" / "pictures")
    made = configuration(language, settings)
    made["nav"] = navigation(language, settings, set(texts))
    text = yaml.safe_dump(made, allow_unicode=True, sort_keys=False)
    (folder / "mkdocs.yml").write_text(text, encoding="utf-8")


def configuration(language: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Zensical's settings for one language, all but the navigation."""
    made = dict(settings["zensical"])
    made["theme"] = {**made["theme"], "language": language}
    home = {"en": "./", "zh": "../"}[language]  # English lies at the root, Chinese below it
    places = {"en": f"{home}index.html", "zh": f"{home}zh/index.html"}
    links = [{"name": LANGUAGES[each], "link": places[each], "lang": each} for each in LANGUAGES]
    made["extra"] = {**made["extra"], "alternate": links}
    handler = {"paths": [str(ROOT / "src")], "options": settings["docstrings"]}
    made["copyright"] = f"qwenbelt {version()}"
    made["plugins"] = ["search", {"mkdocstrings": {"handlers": {"python": handler}}}]
    return made


def navigation(language: str, settings: dict[str, Any], names: set[str]) -> list[Any]:
    """The sections of `site.yml`; pages that no section names join the one marked `rest`."""
    listed = {name for section in settings["sections"] for name in section["pages"]}
    modules = [f"reference/{name}" for name in settings["reference"]]
    rest = sorted(names - listed - set(modules))
    found = []
    for section in settings["sections"]:
        pages = [name for name in section["pages"] if name in names]
        pages += rest if section.get("rest") else []
        if "reference/command_line" in pages:
            pages += modules
        found.append({section[language]: [f"{name}.md" for name in pages]})
    return found


def page_text(path: Path) -> str:
    """A page with what it includes, its links leading to where things stand in the site."""
    text = path.read_text(encoding="utf-8")

    def included(match: re.Match[str]) -> str:
        body = (path.parent / match[1]).read_text(encoding="utf-8")
        return re.sub(r"\A# .*\n", "", body)

    if "<!-- house map -->" in text:  # reads every file of the project
        text = text.replace("<!-- house map -->", house_map())
    parts = FENCE.split(INCLUDE.sub(included, text))
    for place in range(0, len(parts), 2):  # every second part is a code block
        parts[place] = LINK.sub(lambda m: m[1] + staged(path, m[2]) + m[3], parts[place])
    return "".join(parts)


def staged(page: Path, target: str) -> str:
    """Where a link of a page in the repository leads to in the site."""
    if target.startswith((*REMOTE, "#")):
        return target
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve().relative_to(ROOT)
    mark = f"#{anchor}" if anchor else ""
    match path.parts:
        case ("docs", "zh", last) | ("docs", last):
            return last + mark
        case ("docs", "pictures", last):
            return f"pictures/{last}"
        case ("examples", last):
            return f"examples.md#{Path(last).stem}"
        case ("benchmarks", "RESULTS.md"):
            return f"performance.md{mark}"
        case ("SECURITY.md",):
            return "security.md"
    raise SystemExit(f"{page.relative_to(ROOT)}: {target} has no place in the site")


def examples() -> str:
    """A page of all examples as they stand."""
    found = ["# Examples\n"]
    for path in sorted((ROOT / "examples").glob("*.py")):
        code = path.read_text(encoding="utf-8")
        title = (ast.get_docstring(ast.parse(code)) or "").splitlines()[0]
        found.append(f"## {path.name} {{ #{path.stem} }}\n\n{title}\n\n```python\n{code}```\n")
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        found.append(f"## {path.name} {{ #{path.stem} }}\n")
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            text = "".join(cell["source"])
            code = cell["cell_type"] == "code"
            found.append(
                f"```python\n{text}\n```\n" if code else re.sub("^#", "##", text, flags=re.M)
            )
    return "\n".join(found)


def command_line() -> str:
    """A page of what `--help` says, of every command."""
    import click

    from qwenbelt.apps.cli import root

    def visit(command: click.Command, words: list[str]) -> Iterator[str]:
        context = click.Context(command, info_name=" ".join(words), terminal_width=100)
        level = "#" * (len(words) + 1)
        yield f"{level} `{' '.join(words)}`\n\n```text\n{command.get_help(context)}\n```\n"
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                member = command.get_command(context, name)
                if member is not None:
                    yield from visit(member, [*words, name])

    return "\n".join(["# The command line\n", *visit(root(), ["qwenbelt"])])


def reference(name: str) -> str:
    """A page of a module's public names; Zensical reads their docstrings."""
    tree = ast.parse((ROOT.joinpath(*name.split(".")[1:]) / "__init__.py").read_text("utf-8"))
    public = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    lines = [f"# `{name}`\n", (ast.get_docstring(tree) or "") + "\n"]
    lines += [f"::: {name}.{each}\n" for each in sorted(public, key=str.lower)]
    return "\n".join(lines)


class Page(HTMLParser):
    """What a built page loads, leads to, and can be led to."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes what a tag loads, where it leads, and its name."""
        given = {key: value or "" for key, value in attrs}
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "alternate", "next", "prev"):
            self.loads.append(given.get("href", ""))
        elif tag in ("script", "img", "iframe", "source", "video", "audio") and given.get("src"):
            self.loads.append(given["src"])


def parsed(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def broken_links(site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # served at any depth, so its links start at the site's root
        for target in [*page.links, *page.loads]:
            parts = urlsplit(target)
            if parts.scheme:
                continue
            aim = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            aim = aim / "index.html" if aim.is_dir() else aim
            anchor = unquote(parts.fragment)
            if not aim.is_file():
                yield f"{path.relative_to(site)}: {target} leads nowhere"
            elif anchor and aim in pages and anchor not in pages[aim].anchors:
                yield f"{path.relative_to(site)}: {target} has no such place"


def outside_requests(site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """What a browser would load from another host, unlike links that a person follows."""
    for path, page in pages.items():
        for target in page.loads:
            if target.startswith(("http:", "https:", "//")):
                yield f"{path.relative_to(site)}: loads {target}"
    for sheet in site.rglob("*.css"):
        for target in re.findall(r"url\(['\"]?(https?:[^)'\"]+)", sheet.read_text("utf-8")):
            yield f"{sheet.relative_to(site)}: loads {target}"


if __name__ == "__main__":
    os.environ["QWENBELT_LANG"] = "en"
    sys.exit(main(*(Path(word).resolve() for word in sys.argv[1:3])))
