"""The deadline before which a run must have started, if its starter set one as a memo.

The gateway answers 503 if Temporal has not confirmed a start in time. The run may start all the
same, and must not send then, because the caller will send the message again.
"""

from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from send_whatsapp.contract.errors import ErrorType, FieldProblem, failure, invalid_request
    from send_whatsapp.contract.names import START_BEFORE_MEMO


def check_start_time() -> None:
    """Fail if the run started after the deadline at which the gateway answered 503."""
    try:
        start_before = workflow.memo_value(START_BEFORE_MEMO, None)
        if start_before is None:
            return
        is_late = workflow.info().workflow_start_time > datetime.fromisoformat(start_before)
    except (TypeError, ValueError):
        raise invalid_request(
            [
                FieldProblem(
                    field=f"the memo {START_BEFORE_MEMO}",
                    problem="is not a time with its zone",
                    expected="a time such as 2027-01-31T09:00:00Z, or no memo",
                )
            ]
        ) from None
    if is_late:
        raise failure(
            ErrorType.EXPIRED,
            "Nothing was sent, because Temporal started this run after the gateway had answered"
            " 503: send it again if the caller has not, and if there was no 503, compare the clocks"
            " of gateway and Temporal",
        )
