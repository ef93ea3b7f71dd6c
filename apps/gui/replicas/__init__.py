"""Several servers of the chat on one PostgreSQL database, behind any load balancer."""
