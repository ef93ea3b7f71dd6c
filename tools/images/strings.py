"""Texts of the picture tools, English and Chinese side by side."""

from __future__ import annotations

from qwenbelt.core.texts import Texts

ANNOTATE = (
    "Draws boxes with labels on a copy of a picture of this conversation. "
    "在图片副本上绘制带标签的方框。"
)
ZOOM = "Cuts a region out of a picture and enlarges it. 截取并放大图片的一个区域。"
OCR = (
    "Reads the text in a picture (Chinese and English); each line with its box in pixels and the "
    "confidence. 识别图片中的文字（中英文），给出每行的位置和置信度。"
)

_TEXTS = {
    "no_text": ("No text was found.", "没有识别到文字。"),
}
say = Texts(_TEXTS)
