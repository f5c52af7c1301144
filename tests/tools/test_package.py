"""What `pip install .` and the image contain: the product, and a simulator that starts."""

import asyncio
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest
import yaml

from tests.conftest import ROOT, until
from tools.dev_server import free_port

TOP_LEVEL = {
    *("send_whatsapp", "workflows", "activities"),
    *("worker.py", "worker_activities.py", "worker_callbacks.py"),
}


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def build_context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what `.dockerignore` lets into the image's build."""
    context = tmp_path_factory.mktemp("context")
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        source = ROOT / line.removeprefix("!")
        if line.startswith("!") and source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, context / source.name, ignore=ignore)
        elif line.startswith("!"):
            shutil.copy(source, context)
    return context


@pytest.fixture(scope="module")
def wheel(build_context: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-index", "--no-build-isolation", "--no-deps", "-w", folder, build_context)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_adds_only_these_names_to_site_packages(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == TOP_LEVEL


def test_the_installed_package_works_outside_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip("install", "--no-index", "--no-deps", "--target", site, wheel)
    program = "import send_whatsapp, worker; print(send_whatsapp.__file__, worker.__file__)"
    for command in ([sys.executable, "-c", program], [f"{site}/bin/send-whatsapp", "--help"]):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert str(ROOT) not in done.stdout
        assert str(site) in done.stdout or "Usage: send-whatsapp" in done.stdout


async def test_the_simulator_starts_as_the_image_lays_it_out(
    build_context: Path, tmp_path: Path
) -> None:
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["simulator"]
    [copied] = [
        line.split()[2]
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY simulator ")
    ]
    image = tmp_path / "image"
    shutil.copytree(build_context / "simulator", image / copied.lstrip("/"))
    port = free_port()
    command = [{"0.0.0.0": "127.0.0.1", "9090": str(port)}.get(w, w) for w in service["command"]]
    assert command[0] == "python"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command[1:],
        cwd=image / service["working_dir"].lstrip("/"),
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    async with httpx.AsyncClient(trust_env=False) as http:

        async def is_healthy() -> bool:
            assert process.returncode is None
            try:
                response = await http.get(f"http://127.0.0.1:{port}/admin/stats")
            except httpx.HTTPError:
                return False
            return response.is_success

        try:
            await until(is_healthy)
        finally:
            process.terminate()
            await process.wait()
