// Sends one message under an idempotency key and prints the result:
//   npm run send -- order-4711 '{"to": "+1234567890", "message": "Hello"}'
// Exit codes are those of `send-whatsapp send`: 0 accepted, 1 failed, 2 invalid request, 3 unknown, 4 no Temporal.
import {
  ApplicationFailure,
  CancelledFailure,
  Client,
  Connection,
  ServiceError,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  isGrpcServiceError,
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
      // A failed run may have sent its message (DeliveryUnknown), so a policy that starts failed runs
      // again could send it twice. After another failure, send again with a new key.
      workflowIdReusePolicy: "REJECT_DUPLICATE",
    });
    return await handle.result();
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    return await client.workflow.getHandle<SendWhatsApp>(key).result();
  }
}

function exitCode(key: string, failure: WorkflowFailedError): number {
  const cause = failure.cause;
  if (cause instanceof ApplicationFailure) {
    console.error(`${cause.type}: ${cause.message}`);
    if (cause.type === "InvalidRequest" || cause.type === "InvalidPhoneNumber") return 2;
    return cause.type === "DeliveryUnknown" ? 3 : 1;
  }
  if (cause instanceof CancelledFailure) {
    console.error("Cancelled: nothing was sent");
    return 1;
  }
  // Terminated or timed out: only the history shows whether the send had started.
  console.error(`The run ended early, and the message may have been sent: run send-whatsapp status ${key}`);
  return 3;
}

const [key, json] = process.argv.slice(2);
if (!key || !json) {
  console.error("Usage: npm run send -- KEY JSON");
  process.exit(2);
}
let request: SendWhatsAppRequest;
try {
  request = JSON.parse(json) as SendWhatsAppRequest;
} catch {
  console.error(`The request is not valid JSON: write it in single quotes, '{"to": "+1234567890", "message": "Hello"}'`);
  process.exit(2);
}
const address = process.env.TEMPORAL_ADDRESS ?? "127.0.0.1:7233";
const apiKey = process.env.TEMPORAL_API_KEY;
let connection: Connection | undefined;
try {
  connection = await Connection.connect({ address, ...(apiKey ? { apiKey, tls: true } : {}) });
  const client = new Client({ connection, namespace: process.env.TEMPORAL_NAMESPACE ?? "default" });
  console.log(JSON.stringify(await send(client, key, request)));
} catch (error) {
  if (error instanceof WorkflowFailedError) {
    process.exitCode = exitCode(key, error);
  } else if (connection && !isGrpcServiceError(error) && !(error instanceof ServiceError)) {
    throw error;
  } else {
    const reason = error instanceof Error ? error.message : String(error);
    console.error(`Temporal at ${address} does not answer (${reason}): start it, or correct TEMPORAL_ADDRESS`);
    process.exitCode = 4;
  }
} finally {
  await connection?.close();
}
