"""Tests of the flow: what happens to a period, a task, a recording, whatever goes wrong around it."""
