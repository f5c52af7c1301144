"""Numbers as Excel shows them, for the formats that mean the same on each computer."""

import pytest

from send_whatsapp.client.recipients.excel_formats import NumberFormat

MOMENT = 46053.395833333336  # 31 January 2026, 9:30


def shown(value: float, code: str | int, *, date1904: bool = False) -> str | None:
    number, text = (code, None) if isinstance(code, int) else (164, code)
    return NumberFormat.of(number, text, date1904).shown(value)


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (MOMENT, "yyyy-mm-dd", "2026-01-31"),
        (MOMENT, "dd/mm/yyyy", "31/01/2026"),
        (MOMENT, "d.m.yy", "31.1.26"),
        (MOMENT, "d/m/y", "31/1/26"),
        (MOMENT, "m-d-yyyy", "1-31-2026"),
        (MOMENT, "mm-dd-yy", "01-31-26"),
        (MOMENT, "DD.MM.YYYY", "31.01.2026"),
        (MOMENT, r"dd\.mm\.yyyy;@", "31.01.2026"),
        (MOMENT, r"yyyy\-mm\-dd\ hh:mm", "2026-01-31 09:30"),
        (MOMENT, 'dd"."mm"."yyyy', "31.01.2026"),
        (MOMENT, "mm/yyyy", "01/2026"),
        (MOMENT, "m/d/yy h:mm", "1/31/26 9:30"),
        (MOMENT, "yyyy-mm-dd h:mm:ss", "2026-01-31 9:30:00"),
        (MOMENT, "h:mm", "9:30"),
        (MOMENT, 20, "9:30"),
        (MOMENT, 21, "9:30:00"),
        (46053.3958333, "h:mm", "9:30"),
        (0.395833333333333, "h:mm", "9:30"),
        (0.3958, "h:mm", "9:29"),
        (46052.999999, "d/m/yyyy h:mm", "31/1/2026 0:00"),
        (1.0, "d/m/yyyy", "1/1/1900"),
        (59.0, "d/m/yyyy", "28/2/1900"),
        (61.0, "d/m/yyyy", "1/3/1900"),
        (1234.5, "0", "1235"),
        (1234.5, 1, "1235"),
        (1234.5, "0.0", "1234.5"),
        (1.005, "0.00", "1.01"),
        (12.5, 2, "12.50"),
        (1234567.891, "#,##0", "1,234,568"),
        (1234567.891, 3, "1,234,568"),
        (1234567.891, "#,##0.00", "1,234,567.89"),
        (12.5, 4, "12.50"),
        (-1234.5, "#,##0.00", "-1,234.50"),
        (0.15, "0%", "15%"),
        (0.15, 9, "15%"),
        (0.15, 10, "15.00%"),
        (0.155, "0.0%", "15.5%"),
        (0.285, "0%", "29%"),
        (12.345, "#,##0%", "1,235%"),
        (12.345, "#,##0.00%", "1,234.50%"),
        (1e300, "0", "1" + "0" * 300),
        (0.1 + 0.2, "General", "0.3"),
        (0.1 + 0.2, 0, "0.3"),
        (1.1 * 3, "@", "3.3"),
        (-0.0, "General", "0"),
        (123456789012345.0, "General", "123456789012345"),
        (1e-7, "General", "0.0000001"),
    ],
)
def test_a_known_format_shows_what_excel_shows(value: float, code: str | int, text: str) -> None:
    assert shown(value, code) == text


@pytest.mark.parametrize(
    "code",
    [
        *(14, 15, 16, 17, 18, 19, 22, 27, 31, 36, 37, 40, 44, 45, 46, 47, 48, 50, 57, 58, 59, 71),
        *("d mmm yyyy", "dddd", "mmmm", "[h]:mm", "mm:ss", "h:mm AM/PM", "h:mm:ss.0", "hh", "s"),
        *("[$-409]d/m/yyyy", "d/m/e", "d/d/yyyy", "dd mm yyyy", "d/m/yyyy hh.mm", "yyyymmdd"),
        *(
            "00000",
            "0.000",
            "#,##0.0",
            "#",
            "0.##",
            '"$"#,##0.00',
            "[$€-407] 0.00",
            "0 %",
            "0.0E+0",
        ),
        *("# ?/?", "0;-0", "[Red]0", "#,##0_);(#,##0)", '0" Euro"', "", ";;;", "x" * 500),
    ],
)
def test_any_other_format_is_not_known(code: str | int) -> None:
    assert shown(MOMENT, code) is None


@pytest.mark.parametrize("value", [0.0, 0.5, 60.0, 60.5, -1.0, 1e9, 1e300])
def test_a_number_that_is_not_a_day_is_not_shown_as_one(value: float) -> None:
    assert shown(value, "yyyy-mm-dd") is None


@pytest.mark.parametrize("value", [1234567890123456.0, 1e15 + 0.5, 1.2345678901234567e19, 5e-17])
def test_a_number_that_excel_shows_rounded_is_not_known(value: float) -> None:
    assert shown(value, "General") is None


def test_a_file_may_give_a_built_in_id_a_code_of_its_own() -> None:
    assert NumberFormat.of(14, "dd/mm/yyyy", False).shown(MOMENT) == "31/01/2026"


@pytest.mark.parametrize(
    ("code", "is_date"),
    [
        *((14, True), (57, True), ("[h]:mm", True), ("d mmm", True), ("[$-409]yyyy", True)),
        *((0, False), (1, False), (49, False), ('"days "0', False), ("[Red]0", False)),
        *((r"\d0", False), ("General", False), ("[$€-407] 0.00", False)),
    ],
)
def test_formats_of_dates_are_recognized(code: str | int, is_date: bool) -> None:
    number, text = (code, None) if isinstance(code, int) else (164, code)
    assert NumberFormat.of(number, text, False).is_date == is_date
