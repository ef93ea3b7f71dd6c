"""The scenario language: what the model says, and what it must be asked."""
