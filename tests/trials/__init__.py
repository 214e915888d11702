"""Servers that mislead: the program as its users run it, against an organisation and a bucket that are nobody's.

Nothing here is shared with the program or with its simulator: what both misread together would be seen here.
"""
