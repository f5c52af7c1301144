"""Client of the ChatGPT Builder (CGB) API: httpx, without Temporal, cache or retries."""
