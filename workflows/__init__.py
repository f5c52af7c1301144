"""The workflows: what happens to a message, from the request to the provider's answer."""
