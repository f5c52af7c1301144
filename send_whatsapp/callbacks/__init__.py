"""Callbacks: the file that declares them, and the HTTP calls to their receivers."""
