#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
/** The `sluice` command for whatever Node finds it: plain JavaScript, so that an older one can say what is needed. */
import { existsSync } from "node:fs";
import "./ensure-node.mjs";

// TypeScript in a clone, compiled where it is installed.
await import(existsSync(new URL("./main.ts", import.meta.url)) ? "./main.ts" : "./main.js");
