import type { CatalogModel } from "@sluice/runtime/weights";
import { formatBytes } from "../terminal/format-bytes.ts";
import type { Machine } from "./machine.ts";

/** Whether a model can run on a machine, and in a few words why not, or how. */
export interface Fit {
  readonly verdict: "yes" | "no" | "unknown";
  readonly reason: string;
}

/** The system and other programs need some, too. */
const USABLE_SHARE = 0.9;

export function fitsMachine(
  { engine, memoryBytes, downloadBytes = 0 }: Pick<CatalogModel, "engine" | "memoryBytes" | "downloadBytes">,
  machine: Machine,
): Fit {
  if (engine === null) return { verdict: "no", reason: "no engine yet" };
  const card = machine.graphicsBytes ?? 0;
  const needed = memoryBytes ?? downloadBytes;
  if (needed > Math.max(card, USABLE_SHARE * machine.memoryBytes))
    return { verdict: "no", reason: `needs ${formatBytes(needed)}` };
  if (downloadBytes > machine.freeDiskBytes) return { verdict: "no", reason: "disk is too full" };
  if (!machine.engines.includes(engine)) return { verdict: "unknown", reason: `with ${engine}` };
  if (needed === 0) return { verdict: "unknown", reason: "no figure" };
  return { verdict: "yes", reason: needed <= card ? "yes" : "yes, slowly" };
}
