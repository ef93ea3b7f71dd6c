"""Labels for pictures: votes, agreement, a review sheet, training data."""
