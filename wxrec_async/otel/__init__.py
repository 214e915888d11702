"""OpenTelemetry: a listener to events, and a pipeline for a program that has no host to bring one."""
