"""Workflow ids: keys of callers, webhooks and batches, and parts, can never have the same id."""

import itertools

import pytest

from send_whatsapp.contract.names import (
    InvalidKey,
    batch_id,
    new_workflow_id,
    part_id,
    webhook_id,
    workflow_id,
)


@pytest.mark.parametrize("key", ["order-4711", "shop-eu-5", "Batch-feb", "a:b", "~", "x" * 200])
def test_a_callers_key_is_the_workflow_id(key: str) -> None:
    assert workflow_id(key) == key


@pytest.mark.parametrize(
    "key", ["batch-feb", "batch-", "webhook:shop:5", "webhook:", "", " a", "a ", "é", "x" * 201]
)
def test_a_key_that_could_be_the_id_of_something_else_is_refused(key: str) -> None:
    with pytest.raises(InvalidKey) as refused:
        workflow_id(key)
    assert not key or key not in str(refused.value).split("`")[::2]


def test_ids_of_different_kinds_and_keys_differ() -> None:
    keys = ["feb", "eu-5", "5", "batch-feb", "a:b", "b", "webhook:shop:5", ":", "1"]
    names = ["shop", "shop-eu", "batch", "a"]
    webhooks = [webhook_id(name, key) for name, key in itertools.product(names, keys)]
    batches = [batch_id(key) for key in keys]
    parts = [part_id(batch, 1, number) for batch in batches for number in range(3)]
    ids = [*webhooks, *batches, *parts, new_workflow_id(), new_workflow_id()]
    for key in keys:
        try:
            ids.append(workflow_id(key))
        except InvalidKey:
            continue
    assert len(set(ids)) == len(ids)


def test_the_ids_of_batches_and_webhooks_are_readable() -> None:
    assert batch_id("feb") == "batch-feb"
    assert webhook_id("shop", "eu-5") == "webhook:shop:eu-5"
    assert webhook_id("shop-eu", "5") == "webhook:shop-eu:5"


@pytest.mark.parametrize("key", ["", " a", "\u00e9", "a\n", "x" * 201])
def test_every_kind_of_key_is_printable_ascii(key: str) -> None:
    for make in (workflow_id, batch_id, lambda key: webhook_id("shop", key)):
        with pytest.raises(InvalidKey):
            make(key)
