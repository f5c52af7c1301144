"""Client of the ChatGPT Builder (CGB) API: httpx only; no Temporal, no cache, no retries."""
