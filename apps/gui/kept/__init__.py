"""What outlives the server: conversations, ratings, exports and pages to pass on."""
