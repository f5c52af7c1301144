"""Client of the ChatGPT Builder (CGB) API: httpx and pydantic; no Temporal, no cache, no retries."""
