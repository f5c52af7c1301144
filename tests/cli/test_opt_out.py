"""The commands `opt-out` and `opt-in`."""

from pathlib import Path

import pytest

from simulator.faults import Fault
from simulator.process import Simulator
from tests.cli.conftest import Cli
from tests.conftest import new_phone


async def tagged(provider: Simulator) -> set[str]:
    contacts = await provider.all_contacts()
    return {c["phone"] for c in contacts if [tag["name"] for tag in c["tags"]] == ["opt-out"]}


async def test_a_person_opts_out_and_in_again(cli: Cli, provider: Simulator) -> None:
    phone = new_phone()
    done = await cli("opt-out", phone)
    assert done.code == 0, done.err
    assert "opted out" in done.out
    assert "OPT_OUT is off" in done.err
    assert await tagged(provider) == {phone}
    done = await cli("opt-in", phone, "--json")
    assert done.code == 0
    assert (done.json["status"], done.json["optedOut"]) == ("done", False)
    assert await tagged(provider) == set()


async def test_only_the_person_can_end_an_unsubscription(cli: Cli, provider: Simulator) -> None:
    phone = new_phone()
    await provider.change_contact(phone, subscribed=2, tags=["opt-out"])
    done = await cli("opt-in", phone)
    assert done.code == 1
    assert "only the person can change that" in done.err
    assert await tagged(provider) == set()


@pytest.mark.parametrize(
    "content",
    ["{0}\n\n{1}\n{0}\n", "to,name\n{0},Ada\n{1},Bob\n", '{{"to": "{0}"}}\n{{"to": "{1}"}}\n'],
    ids=["lines", "csv", "json lines"],
)
async def test_a_list_of_people_opts_out(
    cli: Cli, provider: Simulator, tmp_path: Path, content: str
) -> None:
    phones = new_phone(), new_phone()
    file = tmp_path / "people.txt"
    file.write_text(content.format(*phones))
    done = await cli("opt-out", "--list-file", str(file), "--json")
    assert done.code == 0, done.err
    assert [one["to"] for one in done.json] == list(phones)
    assert await tagged(provider) == set(phones)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("+4930123456\nnobody\n", "line 2"),
        ("to\n+4930123456\nnobody\n", "line 3"),
        ("name\nAda\n", "to"),
        ("", "people.txt"),
    ],
)
async def test_a_wrong_list_changes_nothing(
    cli: Cli, provider: Simulator, tmp_path: Path, content: str, problem: str
) -> None:
    file = tmp_path / "people.txt"
    file.write_text(content)
    done = await cli("opt-out", "--list-file", str(file))
    assert done.code == 2
    assert problem in done.err
    assert await provider.requests() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("opt-out",),
        ("opt-in",),
        ("opt-out", "nobody"),
        ("opt-in", "nobody"),
        ("opt-out", "+4930123456", "--list-file", "x"),
        ("opt-out", "--list-file", "missing.txt"),
    ],
    ids=" ".join,
)
async def test_a_wrong_command_ends_with_code_2(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert (await cli(*arguments)).code == 2


async def test_a_refusal_of_the_provider_ends_with_code_1(cli: Cli, provider: Simulator) -> None:
    await provider.faults(Fault(route="add_tag", status=400))
    done = await cli("opt-out", new_phone(), "--json")
    assert done.code == 1
    assert done.json["error"]["type"] == "ProviderRejected"


async def test_without_a_worker_it_says_that_the_change_is_still_running(cli: Cli) -> None:
    done = await cli("opt-out", new_phone(), "--timeout", "0.5", TEMPORAL_TASK_QUEUE="nobody")
    assert done.code == 5
    assert "worker" in done.err


async def test_without_temporal_it_ends_with_code_4(cli: Cli) -> None:
    assert (await cli("opt-out", new_phone(), TEMPORAL_ADDRESS="127.0.0.1:1")).code == 4
