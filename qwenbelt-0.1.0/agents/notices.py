"""What a run tells the model beside the results of its calls, English and Chinese side by side."""

from __future__ import annotations

from qwenbelt.core.language import Language

# for calls that were not run or were stopped; each becomes the result of its call
NO_MORE_CALLS: dict[Language, str] = {
    "en": "Not run: no more tools can be called. Answer with what you have.",
    "zh": "未执行：不能再调用工具。请根据已有信息回答。",
}

TOO_MANY_CALLS: dict[Language, str] = {
    "en": "Not run: a reply may have at most {most} calls.",
    "zh": "未执行：一条回复最多只能有 {most} 个调用。",
}

BUDGET_OF_CALLS: dict[Language, str] = {
    "en": "Not run: the budget of {most} tool calls is used up.",
    "zh": "未执行：{most} 次工具调用的预算已用完。",
}

OUT_OF_TIME: dict[Language, str] = {
    "en": "Stopped: the time of this run is used up.",
    "zh": "已停止：本次运行的时间已用完。",
}

NO_SUCH_RESULT: dict[Language, str] = {
    "en": "The call refers to the result of {name!r}, which no earlier call gives.",
    "zh": "该调用引用了 {name!r} 的结果，但没有更早的调用给出它。",
}

INPUT_FAILED: dict[Language, str] = {
    "en": "Not run: the call of {name} that it depends on failed.",
    "zh": "未执行：它所依赖的 {name} 调用失败了。",
}

BY_THE_USER: dict[Language, str] = {"en": " by the user", "zh": "（用户）"}

NOBODY_TO_ASK: dict[Language, str] = {
    "en": " because nobody can be asked here",
    "zh": "（此处无人可询问）",
}

# for the conversation itself
LOOPING: dict[Language, str] = {
    "en": "You have made the same call of {name} {times} times, with the same result each time. "
    "No more tools can be called. Answer now with what you have, and say what is still missing.",
    "zh": "你已经 {times} 次以相同参数调用 {name}，结果每次都相同。不能再调用工具。"
    "请根据已有信息立即回答，并说明还缺少什么。",
}

SUMMARY_REQUEST: dict[Language, str] = {
    "en": "The conversation below has become too long and its beginning will be left out. Write "
    "the notes that are needed to go on: what the user wants, what was found out (with figures, "
    "names, file names and page numbers exactly as they were), what was decided and what is still "
    "open. At most {words} words. Notes only, no tool calls.\n\n{transcript}",
    "zh": "下面的对话过长，其开头部分将被省略。请写出继续工作所需的笔记：用户的要求、"
    "已查明的内容（数字、名称、文件名和页码须与原文完全一致）、已作的决定以及尚未解决的问题。"
    "不超过 {words} 字。只写笔记，不要调用工具。\n\n{transcript}",
}

SUMMARY: dict[Language, str] = {
    "en": "[Notes on the earlier part of this conversation, which was left out]\n{notes}",
    "zh": "[本次对话较早部分已省略，笔记如下]\n{notes}",
}

LEFT_OUT: dict[Language, str] = {
    "en": "[The earlier part of this conversation was left out to fit the model's window.]",
    "zh": "[为适应模型窗口，对话的较早部分已省略。]",
}

SHORTENED: dict[Language, str] = {
    "en": "… [{count} characters left out to fit the model's window{where}]",
    "zh": "……[为适应模型窗口省略了 {count} 个字符{where}]",
}

# for calls that use the results of other calls of the same reply
RESULT_OF_A_CALL: dict[Language, str] = {
    "en": "the result of an earlier call of the same reply",
    "zh": "同一条回复中更早调用的结果",
}

PLAN: dict[Language, str] = {
    "en": """# Plan all calls at once

Work out every tool call that the task needs and write all of them in one reply; do not wait for
results in between. Where a call needs the result of an earlier call of the same reply, write
{"$result": N} in the place of the argument: N is the number of that call, counted from 1 in the
order of your reply. When the result is JSON, "path" picks a part of it:
{"$result": 2, "path": "rows[0].total"}. Calls that need nothing of each other run side by side,
the others as soon as what they need is there. When the results are back, answer; call tools again
only if something is still missing.""",
    "zh": """# 一次规划所有调用

想清楚任务需要的每一个工具调用，并把它们全部写在同一条回复里；不要在中途等待结果。
如果某个调用需要同一条回复中更早调用的结果，请在该参数处写 {"$result": N}：
N 是那个调用的序号，按你回复中的顺序从 1 数起。结果是 JSON 时，用 "path" 取其中一部分：
{"$result": 2, "path": "rows[0].total"}。互不依赖的调用会同时执行，其余的在所需结果到齐后立即执行。
收到结果后请回答；只有在仍缺信息时才再次调用工具。""",
}
