"""Every time limit of the gateway, in seconds, and how the limits nest.

Modules read these as `time_limits.NAME` at the moment they need them.

A request: headers arrive within ARRIVAL_S, then the body within ARRIVAL_S; without a token, and
before a signature is checked, within UNPROVEN_ARRIVAL_S. If the gateway refuses the request, it
reads the rest of the body for at most DRAIN_S. Rows that are uploaded arrive within UPLOAD_S, with
no pause of more than ARRIVAL_S. A client that does not read its answer loses its
connection after READ_ANSWER_S.

Calls to Temporal. Every 503 must be sent within 10 s after the request has arrived:

    POST /v1/messages, webhooks    START_SLOT_S + TEMPORAL_S = 9.0
        wait for a start slot          START_SLOT_S    2.5
        read Temporal's clock, once    CLOCK_S         1.0
        both tries to start            the rest of TEMPORAL_S, 6.5 with the clock
            first try                      FIRST_TRY_S     4.0
            second try                     the rest        1.5 or more
    GET, DELETE /v1/messages/{id}  TEMPORAL_S   6.5
    POST /v1/batches               BATCH_START_S  9.5
    POST /v1/batches/{key}/rows    no limit in all, since there may be 1,000 parts to
                                   start; each call has that of send_whatsapp.temporal.connection
    GET /readyz                    READY_S      3.0

The other batch routes have the limits of `send_whatsapp.client.batches`.

Waiting for a run to close is added to these limits, and its end is never a 503: the answer is then
`running`. `Prefer: wait=N` waits N, at most MAX_WAIT_S; DELETE waits CANCEL_WAIT_S. The gateway
ends all such waits when it stops, and then has SHUTDOWN_S to send the answers.
"""

ARRIVAL_S = 15.0
UNPROVEN_ARRIVAL_S = 5.0
UPLOAD_S = 600.0
DRAIN_S = 2.0
READ_ANSWER_S = 30.0
KEEP_ALIVE_S = 15
SHUTDOWN_S = 20

START_SLOT_S = 2.5
TEMPORAL_S = 6.5
CLOCK_S = 1.0
FIRST_TRY_S = 4.0
BATCH_START_S = 9.5
READY_S = 3.0

MAX_WAIT_S = 300.0
CANCEL_WAIT_S = 8.0

RETRY_AFTER_NO_TEMPORAL_S = 5
RETRY_AFTER_NO_START_SLOT_S = 2
RETRY_AFTER_TOO_MANY_REQUESTS_S = 1
RETRY_AFTER_TOO_MANY_UPLOADS_S = 10
"""What `Retry-After` says in each kind of 503."""

UNCONFIRMED_CHECK_S = 0.25
"""How often the gateway looks for runs whose start was answered 503."""

START_IS_LATE_S = 4.5
"""After this time, a start may have reached Temporal too late: the gateway looks."""

START_FAILED_S = 10.0
"""How long `/readyz` remembers that a start failed."""

CLOCK_CHECK_S = 30.0
"""How often the gateway compares its clock with Temporal's."""

TOKENS_FILE_CHECK_S = 5.0
"""How often the tokens file is read."""

TOKENS_FILE_GRACE_S = 600.0
"""How long the tokens of a file that can no longer be read stay valid."""

REPEATED_ERROR_S = 60.0
"""How often an error that lasts is logged again."""
