"""Worlds that do not help: every answer drawn from what HTTP allows, and a judge that knows the truth."""
