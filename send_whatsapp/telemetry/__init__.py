"""Logs, metrics and traces of every process. Imports no other package of this project."""
