"""The command line: it parses, calls the public names, and prints what they report.

`app` names the commands and loads one when it is carried out, so that ``--help``
is quick; `commands` holds what each of them does; `command` what they have in
common; `session` one `Backfill` with its signals and its display, and the rest
turns events and results into lines.
"""
