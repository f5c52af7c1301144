"""The workflows: what happens to a message, from request to the provider's yes or no."""
