"""Warnings about environment variables that look like settings and are none."""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from typing import Final

from send_whatsapp.settings.gateway import GatewaySettings
from send_whatsapp.settings.templates import TEMPLATE_PREFIX
from send_whatsapp.settings.temporal import TemporalSettings
from send_whatsapp.settings.worker import WorkerSettings

_TEMPORAL: Final = (
    "TEMPORAL_TLS_CLIENT_CERT_DATA",
    "TEMPORAL_TLS_CLIENT_KEY_DATA",
    "TEMPORAL_TLS_SERVER_CA_CERT_DATA",
    "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
    "TEMPORAL_CODEC_ENDPOINT",
    "TEMPORAL_CODEC_AUTH",
)
"""Variables that Temporal's tools read beside those of `TemporalSettings`."""

_SIMILAR_OURS = 0.5
_SIMILAR_SHARED = 0.82


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return a warning for each variable that is probably a misspelt setting.

    All `CGB_` variables are ours, so each one must be a setting. Other programs have variables that
    begin with `GATEWAY_`, `CALLBACKS_`, `TEMPORAL_` and `OTEL_`: there is a warning only for names
    that are close to one that is read.
    """
    known = _known()
    warnings = []
    for name in sorted(environ.keys() - known):
        if name.startswith("CGB_"):
            if re.fullmatch(rf"{TEMPLATE_PREFIX}[A-Z0-9_]+", name):
                continue
            similar = _closest(name, known, _SIMILAR_OURS)
        elif name.startswith(("GATEWAY_", "CALLBACKS_", "TEMPORAL_", "OTEL_")):
            similar = _closest(name, known, _SIMILAR_SHARED)
            if not similar:
                continue
        else:
            continue
        hint = f"; did you mean {similar}?" if similar else ""
        warnings.append(f"{name} is not a setting and is ignored{hint}")
    return warnings


def _closest(name: str, known: Iterable[str], cutoff: float) -> str | None:
    prefix = name.partition("_")[0]
    candidates = [other for other in known if other.startswith(f"{prefix}_")]
    return next(iter(difflib.get_close_matches(name, candidates, n=1, cutoff=cutoff)), None)


def _known() -> set[str]:
    # Imported here because only this check needs OpenTelemetry's names.
    from opentelemetry import environment_variables
    from opentelemetry.sdk import environment_variables as sdk_variables

    ours = {
        str(field.alias)
        for kind in (WorkerSettings, GatewaySettings, TemporalSettings)
        for field in kind.model_fields.values()
    }
    otel = {*vars(environment_variables), *vars(sdk_variables)}
    return {*ours, *_TEMPORAL, *(name for name in otel if name.startswith("OTEL_"))}
