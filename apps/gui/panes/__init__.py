"""The side pane of the chat page: documents, data, code and times of a conversation."""
