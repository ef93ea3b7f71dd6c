"""What a run gives back: the result of `ask`, typed answers, and values that name their source."""
