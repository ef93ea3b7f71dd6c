"""Conversations that outlive a process: `Session`, and the databases that hold them."""
