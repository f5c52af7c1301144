// Sends one message under an idempotency key and prints the result:
//   npm run send -- order-4711 '{"to": "+1234567890", "message": "Hello"}'
// Exit codes are those of `send-whatsapp send`: 0 accepted, 1 failed, 2 request invalid, 3 unknown.
import {
  ApplicationFailure,
  CancelledFailure,
  Client,
  Connection,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
} from "@temporalio/client";

import type { SendWhatsAppRequest } from "./contract/request.schema.js";
import type { SendWhatsAppResult } from "./contract/result.schema.js";

type SendWhatsApp = (request: SendWhatsAppRequest) => Promise<SendWhatsAppResult>;

async function send(client: Client, key: string, request: SendWhatsAppRequest): Promise<SendWhatsAppResult> {
  try {
    const handle = await client.workflow.start<SendWhatsApp>("SendWhatsApp", {
      workflowId: key,
      taskQueue: process.env.TEMPORAL_TASK_QUEUE ?? "send-whatsapp",
      args: [request],
      // One key, one message. A run that failed may have sent (DeliveryUnknown), so no policy that
      // starts failed keys again is safe: a key that failed for good gets a new key.
      workflowIdReusePolicy: "REJECT_DUPLICATE",
    });
    return await handle.result();
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    return await client.workflow.getHandle<SendWhatsApp>(key).result();
  }
}

function exitCode(failure: WorkflowFailedError): number {
  const cause = failure.cause;
  if (cause instanceof ApplicationFailure) {
    console.error(`${cause.type}: ${cause.message}`);
    if (cause.type === "InvalidRequest" || cause.type === "InvalidPhoneNumber") return 2;
    return cause.type === "DeliveryUnknown" ? 3 : 1;
  }
  if (cause instanceof CancelledFailure) {
    console.error("Cancelled, nothing was sent");
    return 1;
  }
  // Terminated or timed out: only the history says whether a send had begun.
  console.error("Nobody knows whether it was sent: ask `send-whatsapp status`");
  return 3;
}

const [key, json] = process.argv.slice(2);
if (!key || !json) {
  console.error("usage: npm run send -- KEY JSON");
  process.exit(2);
}
const apiKey = process.env.TEMPORAL_API_KEY;
const connection = await Connection.connect({
  address: process.env.TEMPORAL_ADDRESS ?? "127.0.0.1:7233",
  ...(apiKey ? { apiKey, tls: true } : {}),
});
try {
  const client = new Client({ connection, namespace: process.env.TEMPORAL_NAMESPACE ?? "default" });
  console.log(JSON.stringify(await send(client, key, JSON.parse(json) as SendWhatsAppRequest)));
} catch (error) {
  if (!(error instanceof WorkflowFailedError)) throw error;
  process.exitCode = exitCode(error);
} finally {
  await connection.close();
}
