"""Before the first run: a login, and whether everything is there."""
