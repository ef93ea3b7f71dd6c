"""Who may call what: approvals, their rules, and the labels of what was read."""
