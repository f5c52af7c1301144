// BullMQ on Redis: the stack that is replaced.
import { Worker } from "bullmq";

const { BENCH_BROKER, CGB_API_URL, CGB_API_KEY } = process.env;

const worker = new Worker(
  "sends",
  async ({ data }) => {
    const answer = await fetch(`${CGB_API_URL}/contacts/${data.digits}/send/text`, {
      method: "POST",
      headers: { "X-ACCESS-TOKEN": CGB_API_KEY, "Content-Type": "application/json" },
      body: JSON.stringify({ text: "Hello", channel: "whatsapp" }),
      signal: AbortSignal.timeout(30_000),
    });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    await answer.json();
  },
  { connection: { url: BENCH_BROKER }, concurrency: 50 },
);
worker.on("error", (error) => console.error(error.message));
