"""Access control: what each route needs, and what a caller may do and see (docs/callers.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from starlette.routing import Match
from starlette.types import Scope

from send_whatsapp.client.errors import NotFound
from send_whatsapp.client.origin import Origin
from send_whatsapp.contract.fields import FALLBACK_VARIABLE
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.gateway.problems import Problem

Permission = Literal["send", "read", "cancel", "batch", "opt-out"]
ALL_PERMISSIONS: Final[frozenset[Permission]] = frozenset(get_args(Permission))

Rule = tuple[Permission, ...]
"""A caller needs one of these permissions."""

PUBLIC: Final[Rule] = ()
"""Rule of a route that says nothing about messages; it needs no token."""

RULES: Final[Mapping[tuple[str, str], Rule]] = {
    ("POST", "/v1/messages"): ("send",),
    ("GET", "/v1/messages/{id:path}"): ("read",),
    ("DELETE", "/v1/messages/{id:path}"): ("cancel",),
    ("POST", "/v1/webhooks/{name}"): ("send",),
    ("POST", "/v1/batches"): ("batch",),
    ("POST", "/v1/batches/{key:path}/rows"): ("batch",),
    ("GET", "/v1/batches/{key:path}/report"): ("read", "batch"),
    ("POST", "/v1/batches/{key:path}/pause"): ("batch",),
    ("POST", "/v1/batches/{key:path}/resume"): ("batch",),
    ("POST", "/v1/batches/{key:path}/cancel"): ("cancel", "batch"),
    ("GET", "/v1/batches/{key:path}"): ("read", "batch"),
    ("POST", "/v1/opt-outs"): ("opt-out",),
    ("DELETE", "/v1/opt-outs/{number}"): ("opt-out",),
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/docs"): PUBLIC,
    ("GET", "/docs/start.js"): PUBLIC,
    ("GET", "/docs/swagger-ui-bundle.js"): PUBLIC,
    ("GET", "/docs/swagger-ui.css"): PUBLIC,
}
"""The rule of each route. A route that is missing here answers 500."""


@dataclass(frozen=True)
class Caller:
    """Who makes a request, and what it may do.

    Without `templates`, it may send anything. `is_named` is false for the callers of a gateway
    without tokens, whose runs belong to nobody.
    """

    name: str
    may: frozenset[Permission] = ALL_PERMISSIONS
    sees_all: bool = False
    templates: frozenset[str] | None = None
    requests_per_minute: int | None = None
    callback: str | None = None
    is_named: bool = True

    @property
    def owner(self) -> str | None:
        """The name that the memo of this caller's runs has; None: they belong to nobody."""
        return self.name if self.is_named else None

    @property
    def origin(self) -> Origin:
        """The origin of what this caller starts."""
        return Origin(caller=self.owner, callback=self.callback)

    def check_may_call(self, scope: Scope) -> None:
        """Raise Problem (403) unless the caller has the permission that the route needs."""
        rule = rule_of(scope)
        if rule and self.may.isdisjoint(rule):
            names = " or ".join(f"`{permission}`" for permission in rule)
            raise Problem(403, f"This caller lacks the permission {names}")

    def check_sees(self, owner: str | None) -> None:
        """Raise NotFound unless the caller may know that a run of this owner exists."""
        if not self.sees_all and owner != self.owner:
            raise NotFound("this caller does not see the run")

    def check_content(self, request: SendWhatsAppRequest) -> None:
        """Raise Problem (403) for content that is not a template of this caller."""
        if self.templates is None:
            return
        is_free = FALLBACK_VARIABLE in (request.variables or {})
        if request.template not in self.templates or is_free:
            listed = ", ".join(sorted(self.templates))
            raise Problem(
                403, f"This caller may send only these templates, without a fallback text: {listed}"
            )


ANYBODY: Final = Caller("anybody", sees_all=True, is_named=False)
"""Every caller of a gateway without tokens."""


def needs_token(scope: Scope) -> bool:
    """Return whether a request needs a token, or a signature in its place."""
    rule = rule_of(scope)
    return scope["path"].startswith("/v1/") if rule is None else rule != PUBLIC


def rule_of(scope: Scope) -> Rule | None:
    """Return the rule of the route that will serve a request; None if no route does.

    Raises KeyError for a route without a rule.
    """
    for route in scope["app"].routes:
        match, _ = route.matches(scope)
        if match == Match.FULL:
            return RULES[scope["method"], route.path]
    return None
