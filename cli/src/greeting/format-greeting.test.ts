import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunningServer, Settings } from "@sluice/server";
import { formatGreeting } from "./format-greeting.ts";

test("the command to try has every field of the sample, and a short prompt", () => {
  const input = { prompt: "a very long description of a picture", style: "ink", size: { width: 8 } };
  const server = {
    url: "http://127.0.0.1:7777",
    endpointIds: ["acme/draw"],
    sampleCall: { endpointId: "acme/draw", input },
    createdKey: null,
  } as unknown as RunningServer;
  const greeting = formatGreeting(server, { dataDir: "/srv/sluice" } as Settings, "1.0.0");
  assert.match(
    greeting,
    /^ {2}try .*sluice run acme\/draw prompt="a red apple" style=ink size='\{"width":8\}'( --data \S+)?$/m,
  );
});
