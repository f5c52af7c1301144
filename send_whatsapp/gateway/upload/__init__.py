"""The upload of a batch's rows: checked and packed while they arrive, never whole in memory."""
