"""How an answer is drawn: Markdown made safe, cards, code, changes."""
