"""Links to the Temporal Web UI."""

from urllib.parse import quote


def ui_link(base: str, namespace: str, workflow_id: str, run_id: str | None = None) -> str | None:
    """Return the address of a run's page in the Web UI; None if `base` is empty.

    Without `run_id` the page shows the latest run of the workflow id.
    """
    if not base:
        return None
    path = f"{base}/namespaces/{quote(namespace, safe='')}/workflows/{quote(workflow_id, safe='')}"
    return f"{path}/{run_id}/history" if run_id else path
