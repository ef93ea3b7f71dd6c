"""Models: endpoints, their dialects, how a request is written and a reply is read."""
