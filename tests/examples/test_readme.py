"""The README's first sends work as pasted, in the order of the page."""

import re
import shlex
import sys
from pathlib import Path

from simulator.process import Simulator
from tests.conftest import ROOT, WorkerOn, require_program
from tests.docs.conftest import Page
from tests.examples.conftest import run, run_python
from tests.gateway.conftest import gateway_process
from tools.dev_server import DevServer

README = Page.read(ROOT / "README.md")
SENDS = ("send-whatsapp", "temporal", "curl")
PHONE = "+1234567890"


async def test_the_first_sends_work_as_pasted(
    worker_on: WorkerOn, provider: Simulator, server: DevServer, tmp_path: Path
) -> None:
    require_program("curl")
    variables = {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_TASK_QUEUE": "send-whatsapp"}
    programs = Path(sys.executable).parent
    [python] = re.findall(r"```python\n(.*?)```", README.text, re.DOTALL)
    async with (
        worker_on(TEMPORAL_TASK_QUEUE="send-whatsapp"),
        gateway_process(tmp_path, **variables) as gateway,
    ):
        for command in README.commands:
            words = shlex.split(command)
            if Path(words[0]).name not in SENDS:
                continue
            if words[0].startswith(".venv/bin/"):
                words[0] = str(programs / Path(words[0]).name)
            url = str(gateway.http.base_url).rstrip("/")
            words = [word.replace("http://127.0.0.1:8080", url) for word in words]
            done = await run(*words, variables=variables)
            assert done.code == 0, done.err
            assert "problem" not in done.out
        done = await run_python("-c", python, variables=variables)
    assert (done.code, done.err) == (0, "")
    messages = [message["text"] for message in await provider.inbox(PHONE)]
    assert sorted(text.split()[-1] for text in messages) == [
        "HTTP",
        "Python",
        "Temporal",
        "approved.",
    ]
