"""Settings: defaults, ranges, and a one-line error for each wrong value."""

import pytest

from send_whatsapp.settings import (
    SettingsError,
    StarterSettings,
    TemporalSettings,
    WorkerSettings,
    unknown_variables,
)

KEY = {"CGB_API_KEY": "canary-key"}


def test_settings_that_are_not_set_have_defaults() -> None:
    settings = WorkerSettings.load(KEY)
    assert settings.api_url == "https://app.chatgptbuilder.io/api"
    assert (settings.timeout_ms, settings.retry_attempts) == (30_000, 3)
    assert (settings.cache_timeout_s, settings.default_region) == (3600, "US")
    assert settings.max_requests_per_minute is None
    assert settings.timeout_s == 30
    assert "canary-key" not in repr(settings)


def test_values_are_read_and_normalised() -> None:
    settings = WorkerSettings.load(
        KEY
        | {
            "CGB_API_URL": "http://127.0.0.1:9090/api/",
            "CGB_TEMPLATE_VISA_APPROVED": " 1752250957765 ",
            "CGB_TEMPLATE_EMPTY": "",
            "CGB_TIMEOUT": "",
            "METRICS_BIND": "127.0.0.1:9464",
        }
    )
    assert settings.api_url == "http://127.0.0.1:9090/api"
    assert settings.templates == {"VISA_APPROVED": "1752250957765"}
    assert settings.timeout_ms == 30_000


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            *("CGB_TIMEOUT", "30 s"),
            "CGB_TIMEOUT must be a whole number from 100 to 600000; for example CGB_TIMEOUT=30000",
        ),
        (
            *("LOG_LEVEL", "loud"),
            "LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR; for example LOG_LEVEL=INFO",
        ),
        (
            *("CGB_TEMPLATE_VISA", "x"),
            "CGB_TEMPLATE_VISA must be a flow id (digits);"
            " for example CGB_TEMPLATE_VISA=1752250957765",
        ),
        (
            *("CGB_API_URL", "https://me:secret@example.com"),
            "CGB_API_URL must not contain a user name or password;"
            " for example CGB_API_URL=https://app.chatgptbuilder.io/api",
        ),
        (
            *("CGB_API_KEY", ""),
            "CGB_API_KEY is not set;"
            " for example CGB_API_KEY=the key from the provider's settings page",
        ),
    ],
)
def test_an_error_says_what_the_value_must_be(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        WorkerSettings.load(KEY | {variable: value})
    assert str(wrong.value) == message


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CGB_API_KEY", ""),
        ("CGB_API_KEY", "canary key"),
        ("CGB_API_KEY", "canary\r\nX: 1"),
        ("CGB_API_KEY", "canaryé"),
        ("CGB_API_URL", "app.example.com/api"),
        ("CGB_API_URL", "ftp://canary.example.com"),
        ("CGB_API_URL", "https://user:canary@example.com/api"),
        ("CGB_API_URL", "https://example.com/api?canary=1"),
        ("CGB_API_URL", "https://example.com/api#canary"),
        ("CGB_API_URL", "https://example.com:canary/api"),
        ("CGB_API_URL", "https://exa mple.com/canary"),
        ("CGB_API_URL", "https://"),
        ("CGB_TIMEOUT", "0"),
        ("CGB_TIMEOUT", "99"),
        ("CGB_TIMEOUT", "600001"),
        ("CGB_TIMEOUT", "canary"),
        ("CGB_TIMEOUT", "1e3"),
        ("CGB_RETRY_ATTEMPTS", "-1"),
        ("CGB_RETRY_ATTEMPTS", "101"),
        ("CGB_CACHE_TIMEOUT", "0"),
        ("CGB_CACHE_TIMEOUT", "604801"),
        ("CGB_DEFAULT_REGION", "canary"),
        ("CGB_MAX_REQUESTS_PER_MINUTE", "0"),
        ("CGB_TEMPLATE_X", "canary"),
        ("LOG_LEVEL", "canary"),
        ("LOG_FORMAT", "canary"),
        ("METRICS_BIND", "canary"),
        ("METRICS_BIND", "127.0.0.1:99999"),
    ],
)
def test_the_error_of_a_wrong_value_is_one_line_with_the_variable_and_an_example(
    variable: str, value: str
) -> None:
    with pytest.raises(SettingsError) as wrong:
        WorkerSettings.load(KEY | {variable: value})
    line = str(wrong.value)
    assert line.startswith(variable)
    assert f"for example {variable}=" in line
    assert "canary" not in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TEMPORAL_ADDRESS", "127.0.0.1:99999"),
        ("TEMPORAL_ADDRESS", "127.0.0.1:canary"),
        ("TEMPORAL_ADDRESS", "canary name:7233"),
        ("TEMPORAL_ADDRESS", "http://canary:7233"),
        ("TEMPORAL_NAMESPACE", "canary name"),
        ("TEMPORAL_API_KEY", "canary\n"),
        ("TEMPORAL_TLS", "canary"),
        ("TEMPORAL_CONFIG_FILE", "canary.toml"),
        ("TEMPORAL_TLS_CLIENT_CERT_PATH", "canary.pem"),
    ],
)
def test_the_error_of_a_wrong_temporal_variable_is_one_line_too(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        TemporalSettings.load({variable: value})
    line = str(wrong.value)
    assert line.startswith(variable)
    assert f"for example {variable}=" in line
    assert "canary" not in line


def test_the_web_ui_must_be_a_url_or_empty() -> None:
    with pytest.raises(SettingsError, match="TEMPORAL_UI_URL must be an http or https URL"):
        StarterSettings.load({"TEMPORAL_UI_URL": "not a url"})
    assert StarterSettings.load({"TEMPORAL_UI_URL": ""}).ui_url == ""


def test_a_starter_needs_no_provider_settings() -> None:
    assert StarterSettings.load({}).ui_url == "http://127.0.0.1:8233"
    assert StarterSettings.load({"TEMPORAL_UI_URL": ""}).ui_url == ""
    assert StarterSettings.load({"TEMPORAL_UI_URL": "http://ui/"}).ui_url == "http://ui"


def test_the_warning_about_an_unknown_variable_suggests_a_similar_one() -> None:
    warnings = unknown_variables(
        {"CGB_TIMOUT": "1", "CGB_TEMPLATE_A": "1", "CGB_ZZZZZZZZZZZZ": "", "CGB_TEMPLATE_a": "1"}
    )
    assert any("CGB_TIMOUT" in w and "did you mean CGB_TIMEOUT?" in w for w in warnings)
    assert any("CGB_ZZZZZZZZZZZZ" in w and "did you mean" not in w for w in warnings)
    assert len(warnings) == 3
