"""Creates the tables, as `dbos migrate` does."""

import os

from dbos import DBOS

DBOS.migrate(os.environ["BENCH_BROKER"])
