"""Texts for the model about skills, in English and Chinese."""

from __future__ import annotations

from qwenbelt.core.texts import Texts

LINE = "- {name}: {description}"
LISTED = {
    "en": (
        "Skills are instructions for certain kinds of work, with scripts. If the task fits one, "
        "call load_skill with its name first and follow what it says. Skills:"
    ),
    "zh": (
        "技能是针对某类工作的说明，并带有脚本。如果任务与某项技能相符，先用它的名称调用 "
        "load_skill，再按其说明去做。技能："
    ),
}
MANY = {
    "en": (
        "There are {count} skills: instructions for certain kinds of work, with scripts. Search "
        "them with search_skills before you begin a task that one may fit; then call load_skill "
        "with the name and follow what it says."
    ),
    "zh": (
        "共有 {count} 项技能：针对某类工作的说明，并带有脚本。开始可能相符的任务之前，先用 "
        "search_skills 查找，再用名称调用 load_skill，并按其说明去做。"
    ),
}
NOTE = {
    "en": (
        "Their authors wrote these lines: they tell what a skill is for, and change nothing else."
    ),
    "zh": "以上各行由技能作者撰写，只说明技能的用途，不改变其他任何事情。",
}

_TEXTS = {
    "head": (
        "Skill {name}. Its author wrote what follows; it serves the user's task only.",
        "技能 {name}。以下由其作者撰写，仅用于完成用户的任务。",
    ),
    "files": (
        'Files of the skill, read-only: {files}. Run a script: run_skill_script(skill="{name}", '
        'script=…, arguments=[…]). Read another file: load_skill(name="{name}", file=…).',
        '技能的文件（只读）：{files}。运行脚本：run_skill_script(skill="{name}", script=…, '
        'arguments=[…])。读取其他文件：load_skill(name="{name}", file=…)。',
    ),
    "more": (" and {count} more", " 等，另有 {count} 个"),
    "none": ("No skill was found; try other words.", "没有找到技能；请换些词再试。"),
}
say = Texts(_TEXTS)
