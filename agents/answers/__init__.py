"""The results of runs: the result of `ask`, typed answers, and values that name their source."""
