"""The same job on many machines, driven by an engine that exists: Temporal.

`contract` and `messages` are what travels: plain data and how it is divided.
`workflows` and `window_workflow` decide nothing but what comes next, `activities`
hand the work to `worker_service` (Webex and the bucket) and `ledger_service` (the
one ledger); `worker` and `driver` are the two programs.  Needs the extra
``wxrec_async[temporal]``; nothing outside this folder imports it but the command
line, when it is asked for.  Nothing is imported here: workflows load this package
inside Temporal's sandbox.
"""
