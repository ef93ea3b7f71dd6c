"""Office Open XML: Word, PowerPoint and Excel files become blocks."""
