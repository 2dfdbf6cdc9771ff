import { type CodeCall, quoteForShell } from "./programs.ts";

/** Calls of an API page; those of the queue after the submit use its `REQUEST_ID`. */
export function formatSubmit({ origin, endpointId, input }: CodeCall): string {
  return `REQUEST_ID=$(curl --silent "${origin}/queue/${endpointId}" \\
  --header "Authorization: Key $FAL_KEY" \\
  --header "Content-Type: application/json" \\
  --data ${quoteForShell(JSON.stringify(input))} | sed -E 's/.*"request_id": ?"([^"]+)".*/\\1/')
echo "$REQUEST_ID"`;
}

export function formatStatus({ origin, endpointId }: CodeCall): string {
  return `curl "${origin}/queue/${endpointId}/requests/$REQUEST_ID/status?logs=1" \\
  --header "Authorization: Key $FAL_KEY"`;
}

export function formatResult({ origin, endpointId }: CodeCall): string {
  return `curl "${origin}/queue/${endpointId}/requests/$REQUEST_ID" \\
  --header "Authorization: Key $FAL_KEY"`;
}

export function formatCancel({ origin, endpointId }: CodeCall): string {
  return `curl --request PUT "${origin}/queue/${endpointId}/requests/$REQUEST_ID/cancel" \\
  --header "Authorization: Key $FAL_KEY"`;
}

export function formatWebhook({ origin, endpointId, input }: CodeCall): string {
  return `curl "${origin}/queue/${endpointId}?fal_webhook=https://example.org/hook" \\
  --header "Authorization: Key $FAL_KEY" \\
  --header "Content-Type: application/json" \\
  --data ${quoteForShell(JSON.stringify(input))}`;
}

export function formatStream({ origin, endpointId, input }: CodeCall): string {
  return `curl --no-buffer "${origin}/run/${endpointId}/stream" \\
  --header "Authorization: Key $FAL_KEY" \\
  --header "Content-Type: application/json" \\
  --data ${quoteForShell(JSON.stringify(input))}`;
}

export function formatRealtime({ origin, endpointId, input }: CodeCall): string {
  return `import { createFalClient } from "@sluice/client";

const fal = createFalClient({ url: "${origin}", credentials: process.env.FAL_KEY });

const connection = fal.realtime.connect("${endpointId}", {
  onResult(result) {
    console.log(result);
    connection.close();
  },
  onError(error) {
    console.error(error);
  },
});
connection.send(${JSON.stringify(input, null, 2)});`;
}

export function formatUpload({ origin }: CodeCall): string {
  return `import { createFalClient } from "@fal-ai/client";

const fal = createFalClient({
  credentials: process.env.FAL_KEY,
  proxyUrl: { url: "${origin}/api/fal/proxy", when: "always" },
});
const url = await fal.storage.upload(new Blob(["hello"], { type: "text/plain" }));
console.log(url);`;
}
