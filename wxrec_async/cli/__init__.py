"""The command line: it parses, calls the public names, and shows what they tell.

`app` holds the commands and imports nothing heavy, so that ``--help`` is quick;
`running` does the work of a command, `session` holds one `Backfill` with its
signals and its display, and the rest turns events and results into lines.
"""
