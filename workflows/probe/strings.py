"""Prompts and words of the contamination probe, English and Chinese side by side."""

from __future__ import annotations

from qwenbelt.core.texts import Texts

_TEXTS = {
    "complete_prompt": (
        "Below is the beginning of a problem. Write the rest of the problem's text, word by "
        "word, as you know it. Do not repeat the beginning, do not solve it, add nothing."
        "\n\n{start}",
        "下面是一道题目的开头。请逐字写出题目余下的原文。不要重复开头，不要解题，不要添加内容。"
        "\n\n{start}",
    ),
    "answer_prompt": (
        "Answer this problem. Its end may be missing: give your best answer anyway, as "
        "\\boxed{{...}} at the end.\n\n{start}",
        "请回答下面的题目。题目可能不完整，也请给出最可能的答案，最后写成 \\boxed{{...}}。"
        "\n\n{start}",
    ),
    "given": ("given", "给出"),
    "tested": ("tested problems", "被测题目"),
    "control": ("fresh control", "全新对照"),
    "exact": ("rest word by word", "逐字写出余下部分"),
    "rouge": ("ROUGE-L", "ROUGE-L"),
    "answered": ("right answer", "答案正确"),
    "seen": (
        "SEEN BEFORE (sure at the 95 % level): of the tested problems {low:.0%} to {high:.0%} are "
        "known word by word from {given:.0%} of their text, of fresh ones {control:.0%}.",
        "见过（95 % 置信）：只给出 {given:.0%} 时，被测题目有 {low:.0%} 至 {high:.0%} 能逐字写出，"
        "全新题目为 {control:.0%}。",
    ),
    "answers": (
        "SEEN BEFORE (sure at the 95 % level): from {given:.0%} of the text {low:.0%} to "
        "{high:.0%} of the tested problems are answered rightly; guessing explains {guess:.0%}.",
        "见过（95 % 置信）：只给出 {given:.0%} 时，被测题目有 {low:.0%} 至 {high:.0%} 答对，"
        "猜测只能解释 {guess:.0%}。",
    ),
    "clear": (
        "NOT SEEN, as far as these tests can tell (sure at the 95 % level): at most {high:.1%} of "
        "the tested problems are known word by word from {given:.0%} of their text.",
        "未发现见过的迹象（95 % 置信）：只给出 {given:.0%} 时，"
        "最多 {high:.1%} 的被测题目能逐字写出。",
    ),
    "unsure": (
        "NOT SURE: between {low:.1%} and {high:.1%} of the tested problems are known word by word "
        "from {given:.0%} of their text; the limit is {share:.0%}. More problems narrow it "
        "down{more}.",
        "无法确定：只给出 {given:.0%} 时，{low:.1%} 至 {high:.1%} 的被测题目能逐字写出，界限为 "
        "{share:.0%}。增加题目可缩小范围{more}。",
    ),
    "more": (": about {count} would do if none is known", "：若都不认识，约需 {count} 道"),
    "skipped": (
        "{count} problems are too short for the test and were left out.",
        "{count} 道题目太短，未参与测试。",
    ),
    "failed": ("{count} requests failed: {error}", "{count} 个请求失败：{error}"),
}
say = Texts(_TEXTS)
