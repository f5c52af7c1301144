"""The steps of a send that reach out of the workflow: contacts, flows, messages."""
