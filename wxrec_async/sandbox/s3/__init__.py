"""A strict S3 for one bucket: checks what the real one checks, and says no in its words."""
