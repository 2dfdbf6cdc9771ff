import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Store } from "./store.ts";

/**
 * Makes the ADMIN key with which this machine's own programs call the server. Its only plaintext is `first-key` in the
 * data folder, which its owner alone may read; an older one there is replaced.
 * @returns `id:secret`
 */
export async function createFirstKey(
  { keys, dataDir }: Pick<Store, "keys" | "dataDir">,
  alias: string = "first key",
): Promise<string> {
  const { credential } = await keys.create({ alias, scope: "ADMIN" });
  const path = join(dataDir, "first-key");
  await writeFile(path, `${credential}\n`, { mode: 0o600 });
  await chmod(path, 0o600);
  return credential;
}
