"""The activities of a worker, built from its settings and its client of the provider."""

from collections.abc import Sequence
from typing import Any

from activities.contacts import ContactActivities
from activities.flows import FlowActivities
from activities.groups import GroupActivities
from activities.keeper import Keeper
from activities.key_monitor import KeyMonitor
from activities.opt_out import OptOutRules, OptOuts
from activities.opt_out_changes import OptOutActivities
from activities.parts import PartActivities
from activities.preparation import PreparationActivities
from activities.provider import Provider
from activities.retries import RetryLimits
from activities.sender import Sender
from activities.sending import SendActivities
from activities.turns import TurnActivities, Turns
from activities.windows import WindowActivities
from send_whatsapp.cgb.client import CGBClient
from send_whatsapp.contract.catalogue import Catalogue
from send_whatsapp.settings import WorkerSettings
from send_whatsapp.telemetry.metrics import ProviderMetrics


def all_activities(
    settings: WorkerSettings,
    client: CGBClient,
    monitor: KeyMonitor,
    provider_metrics: ProviderMetrics,
    catalogue: Catalogue,
    *,
    search_attributes: bool,
) -> Sequence[Any]:
    """Return every activity. `search_attributes`: whether runs may set search attributes."""
    key = settings.api_key.get_secret_value()
    provider = Provider(client, key, monitor, settings.timeout_s, provider_metrics.rate_limit_wait)
    # A limit on activities is a limit on requests only if each activity makes one request.
    one_request = settings.max_requests_per_minute is not None
    rules = OptOutRules(settings.opt_out, settings.opt_out_tag, settings.opt_out_cache_s)
    opt_outs = OptOuts(provider, rules)
    contacts = ContactActivities(
        provider,
        opt_outs,
        region=settings.default_region,
        cache_timeout_s=settings.cache_timeout_s,
        one_request=one_request,
        on_cache=provider_metrics.cache,
    )
    flows = FlowActivities(
        provider,
        configured=settings.templates,
        catalogue=catalogue,
        cache_timeout_s=settings.cache_timeout_s,
        on_cache=provider_metrics.cache,
    )
    sender = Sender(provider, contacts, opt_outs)
    turns = Turns(Keeper(settings.task_queue), key=key, gap_s=settings.recipient_gap_s)
    sends = SendActivities(sender, turns)
    groups = GroupActivities(sender, contacts, turns)
    preparation = PreparationActivities(
        contacts,
        flows,
        catalogue,
        turns,
        timeout_s=settings.timeout_s,
        retry=RetryLimits(attempts=settings.retry_attempts + 1, retry_for_s=settings.retry_for_s),
        search_attributes=search_attributes,
        one_request=one_request,
    )
    return [
        preparation.read_settings,
        preparation.prepare,
        contacts.resolve_contact,
        flows.find_flow,
        sends.send_text,
        sends.send_flow,
        sends.send_file,
        sends.stop_retries,
        sends.end_overdue_attempts,
        groups.send_rows,
        groups.read_group,
        groups.stop_group,
        PartActivities().part_status,
        *OptOutActivities(provider, opt_outs).all(),
        TurnActivities(turns, contacts).ask_for_turns,
        WindowActivities(contacts).find_openings,
    ]
