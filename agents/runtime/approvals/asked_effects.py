"""What a person's own words ask for: kinds of effects, and texts with places to be filled in.

A value that a tool vouches for says which thing a call aims at, not that anybody wants the call:
"delete my largest file" in a mail names no file. So such a call needs a person's word of its kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# words for one kind of effect, as tools and people name it; a tool may be of several kinds
_KINDS = (
    "send sent mail email write message tell forward notify inform post reply respond answer dm "
    "remind ask 发 寄 写信 通知 告诉 转发 回复 回答",
    "delete remove erase clear drop cancel trash discard purge 删 取消 移除 清空 清除",
    "create make add schedule book plan remind set put generate new reserve "
    "创建 建 添加 新增 安排 预订 预约 提醒",
    "append add insert extend put 添加 追加 加上 加到 加入",
    "update change set modify adjust edit reschedule move rename correct replace "
    "改 更新 移动 调整 设",
    "pay paid transfer send sent wire refund 付 支付 转账 汇",
    "share give grant invite 分享 共享 邀请 授权",
    "invite add 邀请 添加 加入",
    "run execute start launch 运行 执行 启动",
    "write save store create 写 保存 存",
    "upload publish put 上传 发布",
    "download save fetch 下载",
    "order buy purchase 订 买 购",
)
_THINGS = {"mail", "email", "messag", "post", "order", "book", "plan", "answer", "set", "stor"}
_SUFFIX = re.compile(r"(?:ing|ed|es|s|e|d)$")
_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[\u4e00-\u9fff]+")
_HOLE = re.compile(r"\{[\w .-]{1,40}\}")
# a text in quotes with a place to be filled in: 'Dinner at {restaurant}'
_TEMPLATE = re.compile(
    r"(?<!\w)'([^'\n]*\{[\w .-]{1,40}\}[^'\n]*)'|\"([^\"\n]*\{[\w .-]{1,40}\}[^\"\n]*)\"|"
    r"[“「『]([^”」』\n]*\{[\w .-]{1,40}\}[^”」』\n]*)[”」』]"
)
_FILLED = r"([^\n{}]{1,80}?)"
_LEAST_WORDS = 3  # letters of a template beside its holes: "{x}" alone would say everything


def _stem(word: str) -> str:
    stem = _SUFFIX.sub("", word)
    return stem if len(stem) >= 3 else word


_STEMS = [
    {_stem(word) for word in kind.split() if word.isascii()}
    | {word for word in kind.split() if not word.isascii()}
    for kind in _KINDS
]


def asks_for(name: str, said: str) -> bool:
    """Returns whether words ask for a kind of effect that a tool's name implies.

    Args:
        name: the tool's name; one without a known verb must be named by a word of it.
        said: a person's words.
    """
    tokens = [_stem(token.casefold()) for token in _TOKEN.findall(name)]
    stems = {_stem(word) for word in re.findall(r"[a-z]+", said.casefold())}
    verbs = [token for token in tokens if any(token in kind for kind in _STEMS)]
    if not verbs:
        return any(len(token) >= 3 and (token in stems or token in said) for token in tokens)
    # "mail_delete" deletes, and "share_file" shares
    verb = next((token for token in verbs if token not in _THINGS), verbs[0])
    wanted: set[str] = set().union(*(kind for kind in _STEMS if verb in kind))
    return bool(wanted & stems) or any(not w.isascii() and w in said for w in wanted)


def templates_in(text: str) -> Iterable[re.Pattern[str]]:
    """Gives patterns for the quoted texts with `{places}` to be filled in."""
    for match in _TEMPLATE.finditer(text):
        template = next(group for group in match.groups() if group)
        fixed = _HOLE.split(" ".join(template.split()))
        if sum(c.isalpha() for part in fixed for c in part) >= _LEAST_WORDS:
            yield re.compile(_FILLED.join(re.escape(part) for part in fixed), re.IGNORECASE)
