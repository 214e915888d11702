"""What a run would do, counted before it begins."""
