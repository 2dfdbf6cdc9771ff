/** How a worker process ended. */
export type WorkerExit =
  /** As asked. */
  | { readonly kind: "stopped" }
  /** By itself: a native crash, an uncaught error, `process.exit`. */
  | { readonly kind: "crashed"; readonly message: string; readonly stderr: string }
  | { readonly kind: "out_of_memory"; readonly message: string }
  /** By the runner. */
  | { readonly kind: "killed"; readonly why: string };

/** One sentence for logs. */
export function formatExit(exit: WorkerExit): string {
  switch (exit.kind) {
    case "stopped":
      return "it was stopped.";
    case "crashed":
      return exit.stderr === "" ? `${exit.message}.` : `${exit.message}; its last words: ${exit.stderr}`;
    case "out_of_memory":
      return `out of memory: ${exit.message}.`;
    case "killed":
      return `it was ended: ${exit.why}.`;
    default:
      return exit satisfies never;
  }
}

/** What the end of a process that nobody asked for says: it ran out of memory, or crashed. */
export function explainExit(
  code: number | null,
  signal: NodeJS.Signals | null,
  lastLines: readonly string[],
): WorkerExit {
  const text = lastLines.join("\n").trimEnd();
  if (/JavaScript heap out of memory|std::bad_alloc|ERR_WORKER_OUT_OF_MEMORY/.test(text)) {
    return { kind: "out_of_memory", message: "an allocation failed" };
  }
  // Nobody else sends SIGKILL: on Linux it is the kernel's answer to a machine without memory.
  if (signal === "SIGKILL") return { kind: "out_of_memory", message: "the system ended it with SIGKILL" };
  const message = signal === null ? `it exited with code ${code}` : `it died of ${signal}`;
  return { kind: "crashed", message, stderr: text };
}
