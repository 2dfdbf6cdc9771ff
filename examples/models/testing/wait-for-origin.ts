import type { ChildProcess } from "node:child_process";

/** Where a `sluice serve` with piped output listens, once it does. */
export async function waitForOrigin({ stdout }: ChildProcess): Promise<string> {
  let text = "";
  for await (const chunk of stdout ?? []) {
    text += String(chunk);
    const found = /^listening on (\S+)$/m.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  throw new Error(`the server ended: ${text}`);
}
