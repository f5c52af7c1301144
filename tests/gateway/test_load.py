"""A short form of `make load`: bursts with a real load tool; every message is accounted for."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT, require_program
from tools.dev_server import DevServer


@pytest.mark.timeout(300)
def test_a_burst_loses_and_doubles_no_message(server: DevServer) -> None:
    require_program("npm")
    command = [sys.executable, "-m", "bench.load", "--quick"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    for burst in json.loads(ended.stdout)["bursts"]:
        assert burst["statuses"] == {"202": 40}
        assert (burst["lost"], burst["doubled"], burst["neverAccepted"]) == (0, 0, 0)
        assert burst["errors"] == 0
