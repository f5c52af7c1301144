// BullMQ on Redis, which this project replaces.
import { Worker } from "bullmq";

const { BENCH_BROKER, CGB_API_URL, CGB_API_KEY } = process.env;

const worker = new Worker(
  "sends",
  async ({ data }) => {
    const response = await fetch(`${CGB_API_URL}/contacts/${data.digits}/send/text`, {
      method: "POST",
      headers: { "X-ACCESS-TOKEN": CGB_API_KEY, "Content-Type": "application/json" },
      body: JSON.stringify({ text: "Hello", channel: "whatsapp" }),
      signal: AbortSignal.timeout(30_000),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    await response.json();
  },
  { connection: { url: BENCH_BROKER }, concurrency: 50 },
);
worker.on("error", (error) => console.error(error.message));
