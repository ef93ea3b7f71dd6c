"""Safety inspection of pictures and videos by a vision model: marked copies and a report."""
