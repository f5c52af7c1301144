// Enqueues a send for each number on standard input.
import { createInterface } from "node:readline";
import { Queue } from "bullmq";

const queue = new Queue("sends", { connection: { url: process.env.BENCH_BROKER } });
const opts = { attempts: 4, backoff: { type: "exponential", delay: 1000 } };
for await (const line of createInterface({ input: process.stdin })) {
  await queue.add("send", { digits: line.trim() }, opts);
}
await queue.close();
