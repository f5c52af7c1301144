// Requests as the compiler judges them, by the types made of docs/schema (`npm run types`).
import type { SendWhatsAppRequest } from "./contract/request.schema.js";

export const text: SendWhatsAppRequest = { to: "+1234567890", message: "Hello" };

export const template: SendWhatsAppRequest = {
  to: "+1234567890",
  template: "visa_approved",
  variables: { name: "John Doe", copies: 2, fallback_message: "Your visa is approved!" },
  delivery: "at_most_once",
};

export const file: SendWhatsAppRequest = {
  to: "+1234567890",
  fileUrl: "https://example.com/visa.pdf",
  fileType: "document",
  sendAt: "2027-01-31T09:00:00+01:00",
};

// @ts-expect-error a file needs its type
export const untyped: SendWhatsAppRequest = { to: "+1234567890", fileUrl: "https://example.com/a" };

// @ts-expect-error there is no such field
export const misspelt: SendWhatsAppRequest = { to: "+1234567890", message: "Hello", tempalte: "x" };

// @ts-expect-error nothing to send
export const empty: SendWhatsAppRequest = { to: "+1234567890" };
