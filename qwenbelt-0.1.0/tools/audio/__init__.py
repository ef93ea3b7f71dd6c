"""Sound that agents can read: speech to text by an endpoint."""
