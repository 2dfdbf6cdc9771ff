/** The errors of the fal model API ("Model error types", "Request error types"), written down a second time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createErrorDetail,
  createFlatError,
  getErrorStatus,
  MODEL_ERRORS,
  type ModelErrorType,
  REQUEST_ERRORS,
  type RequestErrorType,
} from "@sluice/protocol";

/** Type, status, may be sent again ("decided": by the server, case by case), and what `msg` says of its context. */
const MODEL_ROWS: readonly (readonly [string, number, "no" | "decided", (readonly [object, string])?])[] = [
  ["internal_server_error", 500, "decided", [{}, "Internal server error"]],
  ["generation_timeout", 504, "decided", [{}, "Generation timeout"]],
  ["downstream_service_error", 400, "decided", [{}, "Downstream service error"]],
  ["downstream_service_unavailable", 500, "decided", [{}, "Downstream service unavailable"]],
  ["content_policy_violation", 422, "no"],
  ["no_media_generated", 422, "no"],
  ["image_too_small", 422, "no", [{ min_height: 1, min_width: 1 }, "Image too small"]],
  ["image_too_large", 422, "no", [{ max_height: 1, max_width: 1 }, "Image too large"]],
  ["image_load_error", 422, "no", [{}, "Image load error"]],
  ["file_download_error", 422, "no", [{}, "File download error"]],
  ["face_detection_error", 422, "no"],
  ["file_too_large", 422, "no", [{ max_size: 5 }, "File too large"]],
  ["greater_than", 422, "no", [{ gt: 1 }, "Input should be greater than 1"]],
  ["greater_than_equal", 422, "no", [{ ge: 1 }, "Input should be greater than or equal to 1"]],
  ["less_than", 422, "no", [{ lt: 1 }, "Input should be less than 1"]],
  ["less_than_equal", 422, "no", [{ le: 1 }, "Input should be less than or equal to 1"]],
  ["multiple_of", 422, "no", [{ multiple_of: 8 }, "Input should be a multiple of 8"]],
  ["sequence_too_short", 422, "no", [{ min_length: 2 }, "Sequence should have at least 2 items"]],
  ["sequence_too_long", 422, "no", [{ max_length: 2 }, "Sequence should have at most 2 items"]],
  ["one_of", 422, "no", [{ expected: ["a", "b", "c"] }, "Input should be 'a', 'b' or 'c'"]],
  ["feature_not_supported", 422, "no", [{}, "Feature not supported"]],
  ["invalid_archive", 422, "no"],
  ["archive_file_count_below_minimum", 422, "no"],
  ["archive_file_count_exceeds_maximum", 422, "no"],
  ["audio_duration_too_long", 422, "no"],
  ["audio_duration_too_short", 422, "no"],
  ["unsupported_audio_format", 422, "no"],
  ["unsupported_image_format", 422, "no"],
  ["unsupported_video_format", 422, "no"],
  ["video_duration_too_long", 422, "no"],
  ["video_duration_too_short", 422, "no"],
];

for (const [type, status, retryable, says] of MODEL_ROWS)
  test(`the model error ${type} is ${status}`, () => {
    const entry = MODEL_ERRORS[type as ModelErrorType];
    assert.equal(entry.status, status);
    assert.equal(getErrorStatus(type), status);
    if (retryable === "no") assert.equal(entry.retryable, false);
    const [ctx, msg] = says ?? [{ max_duration: 1, min_duration: 2, provided_duration: 3 }, undefined];
    const detail = createErrorDetail(type as ModelErrorType, ["body", "field"], { ctx: { ...ctx } });
    assert.deepEqual(detail.loc, ["body", "field"]);
    assert.equal(detail.type, type);
    assert.equal(detail.url, `https://docs.fal.ai/errors/#${type}`);
    if (msg === undefined) assert.ok(detail.msg.length > 10);
    else assert.equal(detail.msg, msg);
    assert.doesNotMatch(detail.msg, /undefined|\{/);
  });

const REQUEST_ROWS: readonly (readonly [string, number])[] = [
  ["request_timeout", 504],
  ["startup_timeout", 504],
  ["runner_scheduling_failure", 503],
  ["runner_connection_timeout", 503],
  ["runner_disconnected", 503],
  ["runner_connection_refused", 503],
  ["runner_connection_error", 503],
  ["runner_incomplete_response", 502],
  ["runner_server_error", 500],
  ["client_disconnected", 499],
  ["client_cancelled", 499],
  ["bad_request", 400],
  ["internal_error", 500],
  ["concurrent_requests_limit", 429],
];

for (const [type, status] of REQUEST_ROWS)
  test(`the request error ${type} is ${status}`, () => {
    assert.equal(REQUEST_ERRORS[type as RequestErrorType].status, status);
    assert.equal(getErrorStatus(type), status);
    const body = createFlatError(type as RequestErrorType);
    assert.equal(body.error_type, type);
    assert.ok(body.detail.length > 5);
  });
