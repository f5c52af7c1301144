"""Logs, metrics and traces of every process; imports nothing of ours."""
