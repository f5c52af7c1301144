"""A stand-in for the ChatGPT Builder API: its dialect, an inbox for each phone, faults on demand."""
