import { createErrorDetail } from "@sluice/protocol";
import { readJsonBody } from "../cdn/read-json-body.ts";
import type { Respond } from "../respond.ts";

/** The members of a JSON object body, none for no body at all; or the answer that says what is wrong with it. */
export async function readFields(
  request: Request,
  respond: Respond,
): Promise<Readonly<Record<string, unknown>> | Response> {
  const body = await readJsonBody(request);
  switch (body.kind) {
    case "empty":
      return {};
    case "too_large":
      return respond.sentence(413, "Request body too large");
    case "invalid":
      return respond.list([createErrorDetail("json_invalid", ["body", 0], { ctx: { error: body.reason } })]);
    case "json":
      if (typeof body.value === "object" && body.value !== null && !Array.isArray(body.value))
        return body.value as Readonly<Record<string, unknown>>;
      return respond.list([createErrorDetail("model_attributes_type", ["body"], { input: body.value })]);
    default:
      return body satisfies never;
  }
}
