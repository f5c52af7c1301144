"""Enqueues a send for each number on standard input."""

import os
import sys

from dbos import DBOSClient

client = DBOSClient(system_database_url=os.environ["BENCH_BROKER"])
for line in sys.stdin:
    client.enqueue({"workflow_name": "send", "queue_name": "sends"}, line.strip())
client.destroy()
