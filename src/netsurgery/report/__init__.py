"""A run's record as a page (HTML) to look at."""
