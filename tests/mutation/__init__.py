"""Mutation: the rules are changed in one small place at a time, and their own tests must turn red.

``python -m tests.mutation [MODULE ...]`` does it; with ``--keep`` what came of it goes into ``result.json`` and
``result.txt``, module by module.  A module that is not there has not been through a whole run yet.  When tests were
added and nothing else has changed, ``--survivors`` judges only what survived then.

Why a small runner of our own: mutmut (3.8 tried) changes bodies of functions alone, and half of these rules are
tables, limits and patterns at the level of a module; cosmic-ray changes those too, but starts an interpreter for
each mutant.  This one forks, so that some thousands of mutants take one core minutes.
"""
