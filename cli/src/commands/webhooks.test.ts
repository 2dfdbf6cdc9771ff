/** The inbox as its user meets it: a real process, a real server, real deliveries. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const CARD = fileURLToPath(new URL("../fixtures/card.ts", import.meta.url));
const timeout = 60_000;

interface Running {
  readonly child: ChildProcess;
  readonly output: () => string;
  /** The first match in what it prints; rejects after twenty seconds. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>;
  stop(): Promise<number | null>;
}

function start(args: readonly string[], environment: Record<string, string> = {}): Running {
  const { FAL_KEY: _, FAL_KEY_ID: __, FAL_KEY_SECRET: ___, SLUICE_URL: ____, ...inherited } = process.env;
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...inherited, ...environment },
    timeout: 2 * timeout,
    killSignal: "SIGKILL",
  });
  let text = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk.toString();
  });
  return {
    child,
    output: () => text,
    async waitFor(pattern) {
      const until = Date.now() + 20_000;
      for (;;) {
        const match = pattern.exec(text + errors);
        if (match !== null) return match;
        if (Date.now() > until) throw new Error(`${pattern} was not printed, but:\n${text}${errors}`);
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    },
    async stop() {
      if (child.exitCode !== null) return child.exitCode;
      child.kill("SIGTERM");
      const [code] = (await once(child, "exit")) as [number | null];
      return code;
    },
  };
}

let folder: string;
let server: Running;
let url: string;
let authorization: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-inbox-"));
  const data = join(folder, "data");
  server = start([...["serve", "--port", "0", "--data", data, "--no-shipped", CARD, "--log-level", "error"]]);
  url = (await server.waitFor(/^listening on (\S+)$/m))[1]!;
  authorization = `Key ${(await readFile(join(data, "first-key"), "utf8")).trim()}`;
});
after(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function submit(webhook: string): Promise<string> {
  const response = await fetch(`${url}/queue/test/card?fal_webhook=${encodeURIComponent(webhook)}`, {
    method: "POST",
    headers: { authorization },
    body: JSON.stringify({ text: "hello", steps: 1 }),
  });
  return ((await response.json()) as { request_id: string }).request_id;
}

test("deliveries are printed with their payload once their signature was verified", { timeout }, async () => {
  const inbox = start(["webhooks", "listen", "--port", "0"], { SLUICE_URL: url });
  try {
    const [, address] = await inbox.waitFor(/^listening on (\S+)$/m);
    const id = await submit(address!);
    await inbox.waitFor(new RegExp(`${id}  OK  verified  answered 200\\n {2}\\{`));
    await inbox.waitFor(/"text": "hello"/);
  } finally {
    assert.equal(await inbox.stop(), 0);
  }
});

test("what the server did not sign is refused, and its text cannot steer the terminal", {
  timeout,
}, async () => {
  const inbox = start(["webhooks", "listen", "--port", "0"], { SLUICE_URL: url });
  try {
    const [, address] = await inbox.waitFor(/^listening on (\S+)$/m);
    const headers = {
      "x-fal-webhook-request-id": "forged",
      "x-fal-webhook-user-id": "somebody",
      "x-fal-webhook-timestamp": String(Math.floor(Date.now() / 1000)),
      "x-fal-webhook-signature": "ab".repeat(64),
    };
    const body = JSON.stringify({ status: "OK", payload: "\u009b31m red \u001b[31m" });
    const forged = await fetch(address!, { method: "POST", headers, body });
    assert.equal(forged.status, 401);
    assert.equal((await fetch(address!, { method: "POST", body: "not JSON" })).status, 401);
    assert.equal((await fetch(address!)).status, 405);
    await inbox.waitFor(/forged {2}OK {2}NOT VERIFIED: No key of the server made this signature/);
    await inbox.waitFor(/no request id .* NOT VERIFIED: The header .* is missing/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be there
    assert.doesNotMatch(inbox.output(), /[\u001b\u0080-\u009f]/);
  } finally {
    await inbox.stop();
  }
});

test("a delivery is passed on with its signature, and the server retries when the app behind it fails", {
  timeout,
}, async () => {
  const seen: { signature: unknown; text: string }[] = [];
  const app = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const signature = request.headers["x-fal-webhook-signature"];
    seen.push({ signature, text: Buffer.concat(chunks).toString("utf8") });
    response.writeHead(seen.length === 1 ? 500 : 202).end();
  });
  app.listen(0, "127.0.0.1");
  await once(app, "listening");
  const forward = `http://127.0.0.1:${(app.address() as AddressInfo).port}/hook`;
  const inbox = start(["webhooks", "listen", "--port", "0", "--forward", forward, "--json"], {
    SLUICE_URL: url,
  });
  try {
    const [, address] = await inbox.waitFor(/^listening on (\S+)$/m);
    const id = await submit(address!);
    await inbox.waitFor(/"forwarded":\{"status":202\}/);
    const lines = inbox
      .output()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map(({ request_id, is_verified, status, body }) => [
        request_id,
        is_verified,
        status,
        body.payload.text,
      ]),
      [
        [id, true, 500, "hello"],
        [id, true, 202, "hello"],
      ],
    );
    assert.equal(seen.length, 2);
    assert.match(String(seen[0]!.signature), /^[0-9a-f]{128}$/);
    assert.notEqual(seen[0]!.signature, seen[1]!.signature);
    assert.equal(seen[0]!.text, seen[1]!.text);
  } finally {
    await inbox.stop();
    app.close();
  }
});

test("a wrong option says what it should be", { timeout }, async () => {
  for (const [args, message] of [
    [["--port", "many"], /--port must be 0 to 65535/],
    [["--forward", "ftp://example.org"], /--forward must be an http\(s\) URL/],
  ] as const) {
    const inbox = start(["webhooks", "listen", ...args]);
    await inbox.waitFor(message);
    if (inbox.child.exitCode === null) await once(inbox.child, "exit");
    assert.equal(inbox.child.exitCode, 1);
  }
});
