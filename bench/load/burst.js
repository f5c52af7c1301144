// One burst of sends through the HTTP gateway with autocannon, each with its own key and number.
//   node burst.js '{"url": "http://127.0.0.1:8080", "first": 0, "requests": 2000, "connections": 100}'
// Prints one JSON object: counts by status, latency, and the ids of the accepted messages.
import autocannon from "autocannon";

const { url, first, requests, connections } = JSON.parse(process.argv[2]);
let next = first;
const accepted = [];
const statuses = {};
let refusedWithoutRetryAfter = 0;

const result = await autocannon({
  url,
  connections,
  amount: requests,
  timeout: 30,
  requests: [
    {
      method: "POST",
      path: "/v1/messages",
      setupRequest(request) {
        const number = String(next++).padStart(8, "0");
        return {
          ...request,
          headers: { "content-type": "application/json", "idempotency-key": `load-${number}` },
          body: JSON.stringify({ to: `+49151${number}`, message: "Hello" }),
        };
      },
      onResponse(status, body, context, headers) {
        statuses[status] = (statuses[status] ?? 0) + 1;
        if (status === 202) accepted.push(JSON.parse(body).id);
        const names = Object.keys(headers).map((name) => name.toLowerCase());
        if (status === 503 && !names.includes("retry-after")) refusedWithoutRetryAfter += 1;
      },
    },
  ],
});

const { p50, p99, max } = result.latency;
console.log(
  JSON.stringify({
    statuses,
    refusedWithoutRetryAfter,
    errors: result.errors,
    seconds: result.duration,
    ms: { p50, p99, max },
    accepted,
  }),
);
