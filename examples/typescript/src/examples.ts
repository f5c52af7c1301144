// Requests that the compiler accepts or rejects, by the types that `npm run types` generates from docs/schema.
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

// @ts-expect-error a file needs a type
export const untyped: SendWhatsAppRequest = { to: "+1234567890", fileUrl: "https://example.com/a" };

// @ts-expect-error the field does not exist
export const misspelt: SendWhatsAppRequest = { to: "+1234567890", message: "Hello", tempalte: "x" };

// @ts-expect-error a request needs a content
export const empty: SendWhatsAppRequest = { to: "+1234567890" };
