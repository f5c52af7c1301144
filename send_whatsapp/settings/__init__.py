"""Settings: environment variables, read and checked when a process starts.

docs/settings.md and .env.example are generated from these classes (`make generate`).
"""

from send_whatsapp.settings.base import SettingsError
from send_whatsapp.settings.gateway import GatewaySettings
from send_whatsapp.settings.misspelt import unknown_variables
from send_whatsapp.settings.process import ProcessSettings, TracingSettings
from send_whatsapp.settings.starters import StarterSettings
from send_whatsapp.settings.temporal import TemporalSettings
from send_whatsapp.settings.worker import WorkerSettings

__all__ = [
    "GatewaySettings",
    "ProcessSettings",
    "SettingsError",
    "StarterSettings",
    "TemporalSettings",
    "TracingSettings",
    "WorkerSettings",
    "unknown_variables",
]
