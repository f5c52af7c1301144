"""Requests that the contract accepts and refuses, for its validation and its JSON Schema."""

from typing import Any

FAMILY = "👨‍👩‍👧‍👦"

SOUND: list[dict[str, Any]] = [
    {"message": "x"},
    {"message": "x" * 4096},
    {"message": FAMILY},
    {"message": "مرحبا"},
    {"message": "x", "variables": {}},
    {"message": "x", "variables": None, "template": None, "delivery": None},
    {"template": "a"},
    {"template": "a", "message": "instead"},
    {"template": "a", "variables": {"n": 1, "b": True, "f": 1.5, "s": "x"}},
    {"template": "a", "variables": {"fallback_message": "instead"}},
    {"template": "a", "variables": {"fallback_message": None}},
    {"fileUrl": "https://example.com/a%20b.pdf?x=1#y", "fileType": "document"},
    {"fileUrl": "HTTPS://EXAMPLE.com/a.pdf", "fileType": "document"},
    {"message": "x", "delivery": "at_most_once"},
    {"message": "x", "expiresAt": "2027-01-31T09:00:00+01:00"},
    {"message": "x", "sendAt": "2000-01-01T00:00:00+14:00", "expiresAt": "2199-12-31T23:59:59Z"},
    {"message": "x", "sendAt": "2027-01-31T09:00:00Z", "expiresAt": "2027-01-31T10:00:00Z"},
    {"message": "x", "sendWindow": None},
    {"message": "x", "sendWindow": {"from": "09:00", "to": "20:00"}},
    {"message": "x", "sendWindow": {"from": "22:00", "to": "06:30", "zone": "Asia/Jerusalem"}},
    {"message": "x", "sendWindow": {"from": "00:00", "to": "23:59", "zone": "Etc/GMT+12"}},
    {"message": "x", "sendWindow": {"from": "09:00", "to": "20:00", "zone": None}},
]

WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "request"),
    ({"message": ""}, "message"),
    ({"message": " \n"}, "message"),
    ({"message": "x" * 4097}, "message"),
    ({"message": FAMILY * 600}, "message"),
    ({"message": 1}, "message"),
    ({"message": "x", "to": 1234567890}, "to"),
    ({"message": "x", "to": None}, "to"),
    ({"message": "x", "surprise": 1}, "surprise"),
    ({"message": "x", "file_url": "https://example.com/a"}, "file_url"),
    ({"message": "x", "fileUrl": "https://example.com/a", "fileType": "image"}, "request"),
    ({"template": "t", "fileUrl": "https://example.com/a", "fileType": "image"}, "request"),
    ({"fileUrl": "https://example.com/a"}, "fileType"),
    ({"fileType": "image"}, "fileUrl"),
    ({"fileUrl": "https://example.com/a", "fileType": "gif"}, "fileType"),
    ({"message": "x", "variables": {"a": "b"}}, "variables"),
    ({"template": "t", "variables": []}, "variables"),
    ({"template": "t", "variables": {"a": None}}, "variables.a"),
    ({"template": "t", "variables": {"a": ""}}, "variables.a"),
    ({"template": "t", "variables": {"a": " \t"}}, "variables.a"),
    ({"template": "t", "variables": {"str": {}}}, "variables.str"),
    ({"template": "t", "variables": {"": "x"}}, "variables"),
    ({"template": "t", "variables": {"fallback_message": 1}}, "variables.fallback_message"),
    (
        {"template": "t", "variables": {"fallback_message": "x" * 4097}},
        "variables.fallback_message",
    ),
    ({"template": "t", "variables": {"fallback_message": ""}}, "variables.fallback_message"),
    ({"template": "t", "variables": {"fallback_message": " "}}, "variables.fallback_message"),
    ({"template": ""}, "template"),
    ({"template": " "}, "template"),
    ({"template": "a\nb"}, "template"),
    ({"template": "x" * 201}, "template"),
    ({"message": "x", "delivery": "exactly_once"}, "delivery"),
    ({"message": "x", "sendWindow": "09:00-20:00"}, "sendWindow"),
    ({"message": "x", "sendWindow": {"from": "09:00"}}, "sendWindow.to"),
    ({"message": "x", "sendWindow": {"from": "9:00", "to": "20:00"}}, "sendWindow.from"),
    ({"message": "x", "sendWindow": {"from": "09:00", "to": "24:00"}}, "sendWindow.to"),
    ({"message": "x", "sendWindow": {"from": "09:00", "to": "09:00"}}, "sendWindow.to"),
    (
        {"message": "x", "sendWindow": {"from": "09:00", "to": "20:00", "zone": "Mars/Phobos"}},
        "sendWindow.zone",
    ),
    (
        {"message": "x", "sendWindow": {"from": "09:00", "to": "20:00", "zone": "my zone"}},
        "sendWindow.zone",
    ),
    ({"message": "x", "sendWindow": {"from": "09:00", "to": "20:00", "x": 1}}, "sendWindow.x"),
    ({"message": "x", "expiresAt": "2027-01-31T09:00:00"}, "expiresAt"),
    ({"message": "x", "expiresAt": "tomorrow"}, "expiresAt"),
    ({"message": "x", "expiresAt": 1800000000}, "expiresAt"),
    ({"message": "x", "expiresAt": "2027-13-31T09:00:00Z"}, "expiresAt"),
    *(
        ({"message": "x", field: time}, field)
        for field in ("sendAt", "expiresAt")
        for time in (
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "1999-12-31T23:59:59Z",
            "2200-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59-14:00",
        )
    ),
    (
        {"message": "x", "sendAt": "2027-01-31T09:00:00Z", "expiresAt": "2027-01-31T09:00:00Z"},
        "expiresAt",
    ),
]
