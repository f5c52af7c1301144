"""Peers: the same job done by what people use instead, each idiomatic by its own docs.

The job: a known contact, one POST of a text, retried with backoff. Each peer is a folder with its
pinned packages, a worker, and a program that enqueues the phone numbers of its standard input.
"""
