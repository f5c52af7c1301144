"""The flows an account starts with: the specification's five templates, and some near misses."""

from simulator.records import Flow

DEFAULT_FLOWS = (
    # The five of the specification, each in another spelling. Ids exceed 32 bits, as real ones do.
    Flow(
        id=1752250957765,
        name="Visa Approved",
        body="Good news, {{name}}! Your {{visa_type}} visa has been approved.",
    ),
    Flow(
        id=1752250957801,
        name="visa_rejected",
        body="Dear {{name}}, we are sorry: your visa application was not approved.",
    ),
    Flow(
        id=1752250958112,
        name="Document-Request",
        body="Dear {{name}}, please send us your {{document}} by {{date}}.",
    ),
    Flow(
        id=1752250958340,
        name="appointment reminder",
        body="Dear {{name}}, we expect you on {{date}} at {{time}}.",
    ),
    Flow(
        id=1752250958977,
        name="STATUS_UPDATE",
        body="Dear {{name}}, the status of your application is now: {{status}}.",
    ),
    # `payment` fits both, so a partial match must refuse; `invoice` fits one.
    Flow(id=1752250960001, name="Payment received", body="Thank you, {{name}}: {{amount}} came."),
    Flow(id=1752250960002, name="Payment overdue", body="Dear {{name}}, {{amount}} is overdue."),
    Flow(id=1752250960003, name="Send invoice PDF", body="Dear {{name}}, here is your invoice."),
    # The same name twice when case and separators are ignored.
    Flow(id=1752250960010, name="Welcome Message", body="Welcome, {{name}}!"),
    Flow(id=1752250960011, name="welcome-message", body="Welcome again, {{name}}!"),
)
