import { createErrorDetail, type ErrorDetail, getErrorStatus, type ModelErrorType } from "@sluice/protocol";

const BRAND = Symbol.for("sluice.model-error");

/**
 * A failure that the caller should understand: it becomes the request's result with its status and the list
 * body `{"detail":[…]}`. Any other error thrown by a model becomes `internal_server_error`.
 */
export class ModelError extends Error {
  readonly status: number;
  readonly detail: readonly ErrorDetail[];

  constructor(detail: readonly ErrorDetail[], options: { status?: number; cause?: unknown } = {}) {
    super(detail.map((item) => `${item.loc.join(".")}: ${item.msg}`).join("; "), { cause: options.cause });
    this.name = "ModelError";
    Object.defineProperty(this, BRAND, { value: true });
    this.detail = detail;
    this.status = options.status ?? getErrorStatus(detail[0]?.type ?? "internal_server_error");
  }
}

/** One error on one field. */
export function createModelError(
  type: ModelErrorType,
  loc: readonly (string | number)[],
  extra: {
    readonly msg?: string | undefined;
    readonly ctx?: Readonly<Record<string, unknown>> | undefined;
    readonly input?: unknown;
    readonly cause?: unknown;
  } = {},
): ModelError {
  return new ModelError([createErrorDetail(type, loc, extra)], { cause: extra.cause });
}

export function isModelError(value: unknown): value is ModelError {
  return typeof value === "object" && value !== null && (value as { [BRAND]?: unknown })[BRAND] === true;
}
