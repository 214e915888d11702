"""Teeth: bugs planted one at a time in a copy of the package, and the tests that must turn red for each.

``python -m tests.teeth`` plants the twelve of the list and those of `further`;
a suite that stays green with one of them in place proves nothing.
"""
