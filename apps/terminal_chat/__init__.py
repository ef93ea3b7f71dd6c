"""The chat in the terminal, and what `qwenbelt run` shows of a run."""
