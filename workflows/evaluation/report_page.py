"""An evaluation as one HTML page without scripts or outside files, for wide and narrow screens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from qwenbelt.core.language import Language, user_language
from qwenbelt.testing.trials.intervals import wilson_interval

if TYPE_CHECKING:
    from qwenbelt.workflows.evaluation.comparing import PairedComparison
    from qwenbelt.workflows.evaluation.outcome import EvalOutcome, EvalTrial

MOST_NAMED = 40  # cases of a comparison that are named
BAR = 112  # width of a group's bar, in pixels
_WORDS: dict[str, tuple[str, str]] = {
    "score": ("Score", "得分"),
    "interval": ("95 % interval", "95% 置信区间"),
    "cases": ("Cases", "题数"),
    "trials": ("Trials each", "每题次数"),
    "requests": ("Requests", "请求"),
    "tokens": ("Tokens", "词元"),
    "cost": ("Cost", "费用"),
    "seconds": ("Seconds", "秒"),
    "groups": ("By group", "分组"),
    "group": ("Group", "组"),
    "passed": ("Passed", "通过"),
    "compared": ("Compared with an earlier evaluation", "与先前评测的比较"),
    "before": ("Before", "之前"),
    "now": ("Now", "现在"),
    "change": ("Change, 95 %", "变化（95%）"),
    "p": ("p, sign test", "p（精确符号检验）"),
    "better": ("Better", "变好"),
    "worse": ("Worse", "变差"),
    "verdict": ("Verdict", "结论"),
    "verdict_better": ("better", "变好"),
    "verdict_worse": ("worse", "变差"),
    "verdict_no clear difference": ("no clear difference", "无明显差别"),
    "failed": ("What failed", "未通过"),
    "none_failed": ("Everything passed.", "全部通过。"),
    "all": ("All attempts", "全部尝试"),
    "id": ("Case", "题目"),
    "trial": ("Trial", "次"),
    "result": ("Result", "结果"),
    "why": ("Why", "原因"),
    "pass": ("pass", "通过"),
    "fail": ("fail", "未通过"),
    "incomplete": ("Not all attempts have ended.", "仍有未结束的尝试。"),
    "more": ("and {count} more", "另有 {count} 个"),
}
_STYLE = """:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d8dee4;--back:#fff;
--card:#f6f8fa;--bar:#0969da;--good:#1a7f37;--bad:#b42318}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--soft:#9aa4ae;--line:#343a41;--back:#14171a;
--card:#1e2329;--bar:#58a6ff;--good:#56d364;--bad:#ff7b72}}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;
color:var(--ink);background:var(--back)}h1{margin:0;font-size:1.6rem}
h2{margin:2rem 0 .5rem;font-size:1.15rem}p.about{margin:.2rem 0 1rem;color:var(--soft);
overflow-wrap:anywhere}dl{display:grid;gap:.6rem;padding:0;margin:0;
grid-template-columns:repeat(auto-fit,minmax(8.2rem,1fr))}dl div{background:var(--card);
border-radius:8px;padding:.55rem .8rem}dt{color:var(--soft);font-size:.82rem}
dd{margin:0;white-space:nowrap;font-size:1.1rem;font-weight:600;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;font-size:.85rem}td.id{overflow-wrap:anywhere;min-width:7rem}
td.why{overflow-wrap:anywhere;min-width:14rem}.n{text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}.yes{color:var(--good)}.no{color:var(--bad);font-weight:600}
small{white-space:nowrap}summary{cursor:pointer;margin:1rem 0 .5rem;font-weight:600}
svg{display:block}"""


def evaluation_page(
    outcome: EvalOutcome,
    compared: PairedComparison | None = None,
    language: Language | None = None,
) -> str:
    """Returns the page: the score, groups, a comparison, what failed, and every attempt.

    Args:
        outcome: of an evaluation.
        compared: with an earlier one.
        language: of the words; the person's own by default.
    """
    lang: Language = language or user_language()
    failed = [row for row in outcome.rows if not row.passed]
    parts = [_facts(outcome, lang)]
    if not outcome.complete:
        parts.append(f'<p class="no">{_say("incomplete", lang)}</p>')
    if outcome.groups():
        parts.append(_groups(outcome, lang))
    if compared is not None:
        parts.append(_comparison(compared, lang))
    parts.append(f"<h2>{_say('failed', lang)} ({len(failed)})</h2>")
    parts.append(_attempts(failed, lang) if failed else f"<p>{_say('none_failed', lang)}</p>")
    every = f"{_say('all', lang)} ({len(outcome.rows)})"
    parts.append(f"<details><summary>{every}</summary>{_attempts(outcome.rows, lang)}</details>")
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(outcome.name)}</title><style>{_STYLE}</style></head><body>"
        f'<h1>{escape(outcome.name)}</h1><p class="about">{escape(outcome.endpoint)}<br>'
        f"{escape(outcome.source)}</p>{''.join(parts)}</body></html>\n"
    )


def _say(key: str, lang: Language, **values: object) -> str:
    return _WORDS[key][lang == "zh"].format(**values)


def _cards(entries: Iterable[tuple[str, str]], lang: Language) -> str:
    cells = "".join(
        f"<div><dt>{_say(key, lang)}</dt><dd>{escape(value)}</dd></div>" for key, value in entries
    )
    return f"<dl>{cells}</dl>"


def _facts(outcome: EvalOutcome, lang: Language) -> str:
    low, high = outcome.interval
    facts = [
        ("score", f"{outcome.score:.3f}"),
        ("interval", f"{low:.3f}–{high:.3f}"),
        ("cases", f"{len(outcome.cases):,}"),
    ]
    if outcome.trials > 1:
        facts.append(("trials", f"{outcome.trials}, pass^{outcome.trials} "
                      f"{outcome.pass_hat[outcome.trials]:.3f}"))  # fmt: skip
    facts += [
        ("requests", f"{sum(row.requests for row in outcome.rows):,}"),
        ("tokens", f"{sum(row.tokens for row in outcome.rows):,}"),
        ("seconds", f"{sum(row.seconds for row in outcome.rows):,.0f}"),
    ]
    if outcome.cost is not None:
        facts.append(("cost", f"{outcome.cost:.4f} {outcome.currency}".rstrip()))
    return _cards(facts, lang)


def _groups(outcome: EvalOutcome, lang: Language) -> str:
    rows = "".join(
        f'<tr><td class="id">{escape(name)}</td>'
        f'<td class="n">{sum(r.passed for r in found)}/{len(found)}</td>'
        f"<td>{_bar(found)}</td></tr>"
        for name, found in outcome.groups().items()
    )
    heads = (
        f'<th>{_say("group", lang)}</th><th class="n">{_say("passed", lang)}</th>'
        f"<th>{_say('score', lang)}, {_say('interval', lang)}</th>"
    )
    return f"<h2>{_say('groups', lang)}</h2>{_table(heads, rows)}"


def _bar(rows: Sequence[EvalTrial]) -> str:
    cases: dict[str, list[bool]] = {}
    for row in rows:
        cases.setdefault(row.id, []).append(row.passed)
    passed = sum((sum(found) / len(found) for found in cases.values()), 0.0)
    low, high = wilson_interval(passed, len(cases))
    rate = passed / len(cases)
    label = f"{rate:.3f} ({low:.3f}–{high:.3f})"
    return (
        f'<svg width="{BAR}" height="12" role="img" aria-label="{label}">'
        f'<rect y="4" width="{BAR}" height="4" fill="var(--line)"/>'
        f'<rect x="{low * BAR:.1f}" y="2" width="{max((high - low) * BAR, 1):.1f}" height="8" '
        'fill="var(--bar)" opacity=".45"/>'
        f'<rect x="{max(rate * BAR - 1.5, 0):.1f}" width="3" height="12" fill="var(--bar)"/>'
        f"</svg><small>{label}</small>"
    )


def _comparison(compared: PairedComparison, lang: Language) -> str:
    low, high = compared.interval
    facts = [
        ("before", f"{compared.before:.3f}"),
        ("now", f"{compared.now:.3f}"),
        ("change", f"{low:+.2f} … {high:+.2f}"),
        ("better", f"{len(compared.better)} / {compared.shared}"),
        ("worse", f"{len(compared.worse)} / {compared.shared}"),
        ("p", f"{compared.p:.3g}"),
        ("verdict", _say(f"verdict_{compared.verdict}", lang)),
    ]
    named = "".join(
        f"<p><strong>{_say(key, lang)}:</strong> {_names(names, lang)}</p>"
        for key, names in (("worse", compared.worse), ("better", compared.better))
        if names
    )
    return f"<h2>{_say('compared', lang)}</h2>{_cards(facts, lang)}{named}"


def _names(names: Sequence[str], lang: Language) -> str:
    said = ", ".join(escape(name) for name in names[:MOST_NAMED])
    more = len(names) - MOST_NAMED
    return said if more <= 0 else f"{said}, {_say('more', lang, count=more)}"


def _attempts(rows: Sequence[EvalTrial], lang: Language) -> str:
    lines = "".join(
        f'<tr><td class="id">{escape(row.id)}</td><td class="n">{row.trial}</td>'
        f'<td class="{"yes" if row.passed else "no"}">'
        f"{_say('pass' if row.passed else 'fail', lang)}</td>"
        f'<td class="why">{escape(row.detail)}</td><td class="n">{row.tokens:,}</td></tr>'
        for row in rows
    )
    heads = (
        f'<th>{_say("id", lang)}</th><th class="n">{_say("trial", lang)}</th>'
        f"<th>{_say('result', lang)}</th><th>{_say('why', lang)}</th>"
        f'<th class="n">{_say("tokens", lang)}</th>'
    )
    return _table(heads, lines)


def _table(heads: str, rows: str) -> str:
    return (
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


__all__ = ["evaluation_page"]
