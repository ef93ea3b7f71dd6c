"""States of sessions that are kept, so that a conversation can go on from an earlier turn."""
