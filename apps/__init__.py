"""Front ends: the command line, chats in terminal and browser, an OpenAI-compatible server."""
