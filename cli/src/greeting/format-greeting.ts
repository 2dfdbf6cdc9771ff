import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { RunningServer, Settings } from "@sluice/server";
import { formatCommand } from "../shell/format-command.ts";

/**
 * What `sluice serve` prints once it takes requests: one plain line `listening on URL` for programs, and for people
 * what is where, the key of a first start, and a command to try, in the last line.
 */
export function formatGreeting(server: RunningServer, settings: Settings, version: string): string {
  const names = server.endpointIds.join(", ");
  const lines = [
    `sluice ${version}`,
    `listening on ${server.url}`,
    "",
    `  playground   ${server.url}/`,
    `  models       ${names === "" ? "none" : names}`,
    `  data         ${resolve(settings.dataDir)}`,
  ];
  const keyFile = resolve(settings.dataDir, "first-key");
  if (server.createdKey !== null) {
    lines.push(
      `  key          ${server.createdKey}`,
      `               first start: an ADMIN key, kept in ${keyFile}`,
    );
  } else if (existsSync(keyFile)) lines.push(`  key          in ${keyFile}`);
  const words = describeSampleCall(server);
  lines.push(
    "",
    `  try          ${formatCommand(words, { url: server.url, dataDir: resolve(settings.dataDir) })}`,
    "",
  );
  return `${lines.join("\n")}\n`;
}

/** What the endpoint's page begins with, but for a prompt, which is short here. */
function describeSampleCall({ sampleCall }: RunningServer): readonly string[] {
  if (sampleCall === undefined) return ["endpoints"];
  const { endpointId, input } = sampleCall;
  const short = typeof input["prompt"] === "string" ? { ...input, prompt: "a red apple" } : input;
  const fields = Object.entries(short).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return ["run", endpointId, ...fields];
}
