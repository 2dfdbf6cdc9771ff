#!/usr/bin/env node
/** The `sluice` command for whatever Node finds it: plain JavaScript, so that an older one can say what is needed. */
import { existsSync } from "node:fs";
import "./ensure-node.mjs";

// That SQLite is experimental in Node is no news for who types this. Older ones do not start with the option for it.
const tellers = process.listeners("warning");
process.removeAllListeners("warning");
process.on("warning", (warning) => {
  if (warning.name !== "ExperimentalWarning") for (const tell of tellers) tell.call(process, warning);
});

// TypeScript in a clone, compiled where it is installed.
await import(existsSync(new URL("./main.ts", import.meta.url)) ? "./main.ts" : "./main.js");
