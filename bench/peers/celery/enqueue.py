"""Enqueues a send for each number on standard input."""

import sys

from tasks import send

for line in sys.stdin:
    send.delay(line.strip())
