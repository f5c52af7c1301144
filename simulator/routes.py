"""Names of the calls, which faults and the admin API use, and the phone that a call is about."""

from typing import Any

from starlette.requests import Request


def route_of(method: str, path: str) -> str:
    """Return the name of a call; `unknown` if the provider has no such call."""
    match (method, path.strip("/").split("/")):
        case ("GET", ["accounts", "me"]):
            return "account"
        case ("GET", ["accounts", "flows"]):
            return "list_flows"
        case ("GET", ["accounts", "custom_fields"]):
            return "list_custom_fields"
        case ("GET", ["accounts", "tags"]):
            return "list_tags"
        case ("POST", ["accounts", "tags"]):
            return "create_tag"
        case ("GET", ["accounts", "tags", "name", _]):
            return "find_tag"
        case ("GET", ["contacts", "find_by_custom_field"]):
            return "find_contact"
        case ("GET", ["contacts", _]):
            return "get_contact"
        case ("GET", ["contacts", _, "tags"]):
            return "list_contact_tags"
        case ("POST", ["contacts", _, "tags", _]):
            return "add_tag"
        case ("DELETE", ["contacts", _, "tags", _]):
            return "remove_tag"
        case ("POST", ["contacts"]):
            return "create_contact"
        case ("POST", ["contacts", _, "send", "text"]):
            return "send_text"
        case ("POST", ["contacts", _, "send", "file"]):
            return "send_file"
        case ("POST", ["contacts", _, "send", _]):
            return "send_flow"
        case ("POST", ["contacts", _, "send_content"]):
            return "send_content"
    return "unknown"


def digits_of(request: Request, path: str, body: Any) -> str | None:
    """Return the digits of the phone that a call is about, or None."""
    if path == "contacts/find_by_custom_field":
        return request.query_params.get("value", "").strip("+ ")
    if path.startswith("contacts/"):
        return str(path.split("/")[1])
    if isinstance(body, dict):
        return str(body.get("phone", "")).lstrip("+") or None
    return None
