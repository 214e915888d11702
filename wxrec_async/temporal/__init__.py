"""The same job on many machines, driven by an engine that exists: Temporal.

`contract` is what any engine would have to carry: plain data and how it is
divided.  The rest is a thin adapter: `workflows` decide nothing but what comes
next, `activities` do the work through `wxrec_async.remote`, `worker` and `driver`
are the two programs.  Needs the extra ``wxrec_async[temporal]``; nothing outside
this folder imports it but the command line, when it is asked for.
"""
