"""What the model reads about typed answers, in English and Chinese."""

from __future__ import annotations

from qwenbelt.core.language import Language

ANSWER_FORM: dict[Language, str] = {
    "en": "When you have what you need, answer with JSON alone, without any other words. "
    "It must fit this JSON schema:\n{schema}",
    "zh": "得到所需信息后，只用 JSON 回答，不要有其他文字。"
    "它必须符合下面的 JSON Schema：\n{schema}",
}

ANSWER_REPAIR: dict[Language, str] = {
    "en": "This answer does not fit ({problem}). Write the whole answer again as JSON alone "
    "that fits the schema.",
    "zh": "这个回答不符合要求（{problem}）。请重新写出完整的回答，只写符合 Schema 的 JSON。",
}

FINAL_TOOL_DOES: dict[Language, str] = {
    "en": "Gives the final answer. Call it once, by itself, when you have what you need.",
    "zh": "给出最终答案。得到所需信息后，单独调用一次。",
}

TOO_EARLY: dict[Language, str] = {
    "en": "This came too early: read the results of the other calls, then answer.",
    "zh": "为时过早：请先阅读其他调用的结果，再给出答案。",
}
