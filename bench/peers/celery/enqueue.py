"""Enqueues a send to each number of standard input."""

import sys

from tasks import send

for line in sys.stdin:
    send.delay(line.strip())
