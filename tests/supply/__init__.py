"""What we stand on: the lock, the list that goes with the wheel, known holes, and secrets that should not be here.

`python -m tests.supply.secrets` and `python -m tests.supply.advisories` are steps of `.ci/run`;
`.ci/lock.sh` makes the lock and the list anew.
"""
