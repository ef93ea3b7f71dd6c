"""Who may use the chat page: host names, login, cookies, and headers that fence the page in."""
