"""What a run leaves behind: one record (JSON) with every figure, and a page (HTML) to look at."""
