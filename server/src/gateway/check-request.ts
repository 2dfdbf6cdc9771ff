import type { ErrorDetail } from "@sluice/protocol";
import type { ModelIdentity } from "@sluice/runtime/model";
import type { RequestResult } from "../queue/request-queue.ts";
import type { KnownEndpoint } from "./find-endpoint.ts";

/** How a request that needs no worker has already ended; undefined when a worker must answer. */
export function checkRequest(found: KnownEndpoint, body: Uint8Array | null): RequestResult | undefined {
  if (found.kind === "unknown_path") return createUnknownPathResult(found.path);
  const validation = found.entry.validateInput(body);
  return validation.ok ? undefined : createInvalidResult(validation.detail, found.entry.manifest.model);
}

/** The input does not fit the schema of the endpoint. */
function createInvalidResult(detail: readonly ErrorDetail[], model: ModelIdentity): RequestResult {
  const first = detail[0];
  return createFailure(
    422,
    { detail },
    {
      error: "Invalid status code: 422",
      ...(first === undefined ? {} : { errorType: first.type }),
      headers: {
        "x-fal-retryable": "false",
        "x-fal-needs-retry": "0",
        "x-model": `${model.name}@${model.version}`,
      },
    },
  );
}

/** The app is known, the path below it is not. */
function createUnknownPathResult(path: string): RequestResult {
  const detail = `Path ${path} not found`;
  return createFailure(404, { detail }, { error: detail, headers: {} });
}

function createFailure(
  statusCode: number,
  body: unknown,
  more: Pick<RequestResult, "headers" | "error" | "errorType">,
): RequestResult {
  return {
    state: "failed",
    statusCode,
    body: Buffer.from(JSON.stringify(body)),
    billableUnits: 0,
    inferenceSeconds: null,
    fileIds: [],
    ...more,
    headers: { "content-type": "application/json", "x-fal-billable-units": "0", ...more.headers },
  };
}
