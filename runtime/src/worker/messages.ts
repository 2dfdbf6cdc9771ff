import type { ErrorDetail, LogLevel } from "@sluice/protocol";
import type { Progress } from "../model/define-model.ts";
import type { ModelFileManifest } from "../model/manifest.ts";

/**
 * What the runner (parent) and a worker (child) say to each other over the process channel, with
 * `serialization: "advanced"`, so that bytes cross as typed arrays. One union per direction.
 *
 * A worker is started with the path of one model file. It answers `described` and waits. `setup` loads the
 * weights (and is answered with `ready`); `run` may be sent only after that. One run at a time.
 */
export type ToWorker =
  | { readonly type: "describe"; readonly file: string }
  | {
      readonly type: "setup";
      readonly threads: number;
      readonly cacheDir: string;
      readonly settings: Readonly<Record<string, string>>;
    }
  | { readonly type: "run"; readonly run: WorkerRun }
  /** Somebody began or ceased to look at this run's previews. */
  | { readonly type: "previews"; readonly runId: string; readonly areWanted: boolean }
  | { readonly type: "cancel"; readonly runId: string; readonly reason: CancelReason }
  | { readonly type: "file"; readonly callId: number; readonly result: FileReply }
  | { readonly type: "stop" };

/** Why a run is told to stop. */
export type CancelReason = "cancelled" | "timed_out" | "lease_lost" | "shutting_down";

export interface WorkerRun {
  readonly runId: string;
  readonly requestId: string;
  readonly endpointId: string;
  readonly attempt: number;
  readonly seed: number;
  readonly input: unknown;
  readonly headers: Readonly<Record<string, string>>;
  /** At the start; `previews` changes it. */
  readonly wantsPreviews: boolean;
}

export type FileReply =
  | {
      readonly ok: true;
      readonly bytes: Uint8Array;
      readonly contentType: string;
      readonly source: string;
      readonly fileName?: string;
    }
  | { readonly ok: false; readonly detail: readonly ErrorDetail[]; readonly status: number };

export type FromWorker =
  | { readonly type: "described"; readonly manifest: ModelFileManifest }
  /** The model file cannot be used: it does not load, or a definition is wrong. */
  | { readonly type: "rejected"; readonly message: string; readonly stack?: string }
  | { readonly type: "ready"; readonly loadMs: number }
  /** `setup` may be sent again: what is loaded stays. */
  | {
      readonly type: "setup_failed";
      readonly message: string;
      readonly stack?: string;
      /** More free memory would help. */
      readonly isOutOfMemory: boolean;
    }
  | {
      readonly type: "log";
      readonly runId: string | null;
      readonly level: LogLevel;
      readonly message: string;
      readonly at: number;
    }
  | { readonly type: "progress"; readonly runId: string; readonly progress: Progress; readonly at: number }
  | {
      readonly type: "preview";
      readonly runId: string;
      readonly image: number;
      readonly step: number;
      readonly artifact: ArtifactMessage;
    }
  | { readonly type: "emit"; readonly runId: string; readonly value: unknown }
  | {
      readonly type: "read_file";
      readonly runId: string;
      readonly callId: number;
      readonly value: unknown;
      readonly loc: readonly (string | number)[];
      readonly maxBytes: number;
    }
  | {
      readonly type: "done";
      readonly runId: string;
      /** The output with every artifact replaced by `{ "$artifact": index }`. */
      readonly output: unknown;
      readonly artifacts: readonly ArtifactMessage[];
      readonly billableUnits: number;
      readonly inferenceMs: number;
    }
  | { readonly type: "failed"; readonly runId: string; readonly failure: WorkerFailure };

export interface ArtifactMessage {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  readonly width?: number;
  readonly height?: number;
  readonly fileName?: string;
  readonly inline?: boolean;
}

export type WorkerFailure =
  /** The model's own error: the request's result. */
  | { readonly kind: "model_error"; readonly status: number; readonly detail: readonly ErrorDetail[] }
  /** The run stopped because it was told to. */
  | { readonly kind: "stopped"; readonly reason: CancelReason }
  /** Anything else that model code threw. */
  | { readonly kind: "exception"; readonly message: string; readonly stack?: string };
