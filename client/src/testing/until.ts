import { setTimeout as delay } from "node:timers/promises";

/** Waits until the condition holds; fails after two seconds. */
export async function until(condition: () => boolean, what = "the condition"): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > 2000) throw new Error(`${what} did not come true within two seconds`);
    await delay(5);
  }
}
