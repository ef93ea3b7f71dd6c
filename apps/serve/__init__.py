"""An agent as an OpenAI-compatible server, for the chats that people already use."""
