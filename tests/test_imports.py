"""What importing a part of the project loads."""

import subprocess
import sys

import pytest

import send_whatsapp
from send_whatsapp.client import api

LOADED = "import sys, worker; print(*(m for m in sys.modules if m.startswith('send_whatsapp.')))"


def test_the_worker_loads_no_code_of_starters() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = {module.split(".")[1] for module in done.stdout.split()}
    assert "contract" in loaded
    assert not loaded & {"client", "cli", "gateway"}


@pytest.mark.parametrize("name", api.__all__)
def test_the_package_offers_the_python_api(name: str) -> None:
    assert getattr(send_whatsapp, name) is getattr(api, name)


def test_the_package_offers_nothing_else() -> None:
    assert not hasattr(send_whatsapp, "get_request")
