"""A stand-in for the provider, with its worst habits and faults on demand."""
