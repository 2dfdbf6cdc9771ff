import { defineModel } from "@sluice/runtime/model";
import { z } from "zod";

/** Does nothing, so that everything around it is what is measured. `wait_ms` makes it last. */
export default defineModel({
  id: "bench/noop",
  title: "No-op",
  description: "Answers at once with its prompt and the time at which it was done.",
  category: "other",
  model: { name: "noop", version: "1" },
  input: z.object({ prompt: z.string().min(1), wait_ms: z.int().min(0).max(60_000).default(0) }),
  output: z.object({ prompt: z.string(), done_at: z.number() }),
  async run(input, { signal }) {
    if (input.wait_ms > 0)
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(resolve, input.wait_ms);
        signal.addEventListener(
          "abort",
          () => {
            clearTimeout(timer);
            reject(signal.reason);
          },
          { once: true },
        );
      });
    // Epoch milliseconds with fractions, comparable between processes of one machine.
    return { prompt: input.prompt, done_at: performance.timeOrigin + performance.now() };
  },
});
