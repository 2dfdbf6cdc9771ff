import { defineModel } from "@sluice/runtime/model";
import { z } from "zod";

/** Writes as many log lines as it is asked for. */
export default defineModel({
  id: "bench/chatty",
  title: "Chatty",
  description: "Logs.",
  category: "other",
  model: { name: "chatty", version: "1" },
  input: z.object({ prompt: z.string().min(1), lines: z.int().min(0).max(10_000).default(10) }),
  output: z.object({ lines: z.number() }),
  async run({ lines }, { log }) {
    for (let line = 1; line <= lines; line++) {
      log(`line ${line} of ${lines}: ${"a word or two ".repeat(line % 12)}`);
      // The worker's messages leave between turns.
      if (line % 500 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return { lines };
  },
});
