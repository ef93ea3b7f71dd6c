"""Web pages and HTML files as a browser shows them."""
