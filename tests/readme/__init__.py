"""The README: what it shows is run, what it names exists."""
