"""Settings: environment variables, read and checked when a process starts.

docs/settings.md and .env.example are generated from these classes (`make generate`).
"""

from send_whatsapp.settings.base import SettingsError
from send_whatsapp.settings.callbacks import CallbackSettings
from send_whatsapp.settings.gateway import GatewaySettings
from send_whatsapp.settings.misspelt import unknown_variables
from send_whatsapp.settings.opt_out import OptOutSettings
from send_whatsapp.settings.process import ProcessSettings, TracingSettings
from send_whatsapp.settings.starters import StarterSettings
from send_whatsapp.settings.templates import TemplateSettings
from send_whatsapp.settings.templates_file import load_catalogue
from send_whatsapp.settings.temporal import TemporalSettings
from send_whatsapp.settings.worker import WorkerSettings

__all__ = [
    "CallbackSettings",
    "GatewaySettings",
    "OptOutSettings",
    "ProcessSettings",
    "SettingsError",
    "StarterSettings",
    "TemplateSettings",
    "TemporalSettings",
    "TracingSettings",
    "WorkerSettings",
    "load_catalogue",
    "unknown_variables",
]
