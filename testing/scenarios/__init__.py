"""The scenario language: the model's replies, and the requests it must get."""
