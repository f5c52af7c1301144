"""A simulated provider: its API with its quirks, faults on demand, and an inbox of each phone."""
