"""One run of an agent: the loop, the scheduler, history, budgets and approvals."""
