"""Words of a review, English and Chinese side by side."""

from __future__ import annotations

from qwenbelt.core.texts import Texts
from qwenbelt.workflows.reviewing.agreement import Agreement

_TEXTS = {
    "title": ("Review", "人工复核"),
    "serving": ("Review: {url}  (Ctrl+C ends it)", "人工复核：{url} （按 Ctrl+C 结束）"),
    "nothing": ("Nothing to review.", "没有需要复核的内容。"),
    "progress": ("{done} of {total} pictures", "{total} 张中的 {done} 张"),
    "written": ("Written: {path}", "已写入：{path}"),
    "counts": (
        "{confirmed} confirmed, {corrected} corrected, {rejected} rejected, {added} added",
        "确认 {confirmed}，更正 {corrected}，驳回 {rejected}，新增 {added}",
    ),
    "agreement": ("agreement {share:.0%} of {count}", "一致率 {share:.0%}（{count} 项）"),
    "kappa": ("Cohen's kappa {kappa:.2f}", "Cohen's kappa {kappa:.2f}"),
    "precision": ("precision {share:.0%}", "精确率 {share:.0%}"),
    "recall": ("recall {share:.0%}", "召回率 {share:.0%}"),
    "undecided": ("nothing decided yet", "尚未作出任何判断"),
    "checked": (
        "Checked by a person: {done} of {pictures} pictures ({counts}; {figures}).",
        "已由人工复核：{pictures} 张图片中的 {done} 张（{counts}；{figures}）。",
    ),
    # the page and the terminal
    "confirm": ("Confirm", "确认"),
    "reject": ("Reject", "驳回"),
    "draw": ("Draw a box", "画框"),
    "redraw": ("Draw its box anew", "重画此框"),
    "undo": ("Undo", "撤销"),
    "remove": ("Remove", "删除"),
    "next": ("Next", "下一张"),
    "previous": ("Previous", "上一张"),
    "confirm_all": ("Confirm all, next", "全部确认并继续"),
    "empty": ("Nothing is to be seen here", "此图确无目标"),
    "doubtful": ("doubtful", "存疑"),
    "by_model": ("model", "模型"),
    "by_person": ("drawn", "人工添加"),
    "confirmed": ("confirmed", "已确认"),
    "corrected": ("corrected", "已更正"),
    "rejected": ("rejected", "已驳回"),
    "added": ("added", "已新增"),
    "open": ("to decide", "待定"),
    "votes": ("Votes", "投票"),
    "none_fits": ("None of them fits", "都不合适"),
    "keys": ("Keys", "按键"),
    "all_done": ("Everything is decided.", "已全部判断。"),
    "failed": ("Not saved", "未能保存"),
    "class": ("Class", "类别"),
    "grade": ("Grade", "等级"),
    "help": (
        "y confirm · x reject · 1-9 class or label · g grade · d draw · b draw its box anew · "
        "n next finding · → ← pictures · a confirm all and go on · u undo",
        "y 确认 · x 驳回 · 1-9 类别或标签 · g 等级 · d 画框 · b 重画此框 · n 下一个目标 · "
        "→ ← 切换图片 · a 全部确认并继续 · u 撤销",
    ),
    "ask_item": ("Picture {number} of {total}: {image}", "第 {number} 张，共 {total} 张：{image}"),
    "ask_object": (
        "  {number}. {words}  [{box}]",
        "  {number}. {words}  [{box}]",
    ),
    "ask_keys": (
        "  [y] confirm  [x] reject  [1-{last}] correct  [+] add  [s] skip  [b] back  [q] quit",
        "  [y] 确认  [x] 驳回  [1-{last}] 更正  [+] 新增框  [s] 跳过  [b] 返回  [q] 退出",
    ),
    "ask_label_keys": (
        "  [y] confirm  [1-{last}] another label  [x] none fits  [s] skip  [b] back  [q] quit",
        "  [y] 确认  [1-{last}] 其他标签  [x] 都不合适  [s] 跳过  [b] 返回  [q] 退出",
    ),
    "ask_grade": ("  Grade", "  等级"),
    "ask_box": ("  Box: x1 y1 x2 y2, in pixels", "  框：x1 y1 x2 y2，单位为像素"),
}
say = Texts(_TEXTS)


def counts_text(found: Agreement, language: str) -> str:
    """Returns how many were confirmed, corrected, rejected and added."""
    counts = {
        name: getattr(found, name) for name in ("confirmed", "corrected", "rejected", "added")
    }
    return say("counts", language, **counts)


def figures_text(found: Agreement, language: str, *, boxes: bool = True) -> str:
    """Returns the agreement figures that are known, in one line.

    Args:
        found: the counts.
        language: of the text.
        boxes: whether it is about objects in pictures, which can be missed.
    """
    parts = []
    if found.share is not None:
        parts.append(say("agreement", language, share=found.share, count=len(found.pairs)))
    if found.kappa is not None:
        parts.append(say("kappa", language, kappa=found.kappa))
    if boxes and found.precision is not None:
        parts.append(say("precision", language, share=found.precision))
    if boxes and found.recall is not None:
        parts.append(say("recall", language, share=found.recall))
    joint = "，" if language == "zh" else ", "
    return joint.join(parts) or say("undecided", language)
