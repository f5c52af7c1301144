"""docs/errors.md explains every error type, and says truly which are retried."""

import re

import pytest

from send_whatsapp.contract.errors import RETRYABLE, ErrorType
from tests.conftest import ROOT

ROWS = re.findall(
    r"^\| `(\w+)` \| .+ \| (yes|no) \| \S.* \|$",
    (ROOT / "docs" / "errors.md").read_text(),
    re.MULTILINE,
)


def test_the_table_has_one_row_for_each_error_type() -> None:
    assert sorted(name for name, _ in ROWS) == sorted(ErrorType)


@pytest.mark.parametrize(("name", "retried"), ROWS)
def test_the_table_says_whether_a_type_is_retried(name: str, retried: str) -> None:
    assert (retried == "yes") == (name in RETRYABLE)
