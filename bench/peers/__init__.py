"""Peers: other systems that do the same job, each set up as its documentation advises.

The job is one POST of a text to a known contact, with retries and backoff. Each peer is a folder
with pinned packages, a worker, and a program that enqueues the phone numbers on its standard input.
"""
