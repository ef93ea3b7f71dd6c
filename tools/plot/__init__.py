"""Charts from data, drawn with matplotlib."""
