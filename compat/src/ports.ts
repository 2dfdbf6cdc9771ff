import type { ChildProcess } from "node:child_process";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** For programs that cannot be told to choose one themselves. */
export async function findFreePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** Waits until a program takes connections. @throws Error when it ends instead, or needs more than 30 seconds */
export async function waitForPort(child: ChildProcess, port: number): Promise<void> {
  for (let tries = 0; child.exitCode === null && tries < 600; tries += 1) {
    if (await canConnect(port)) return;
    await delay(50);
  }
  throw new Error(`the program ended, or does not listen on port ${port}`);
}

async function canConnect(port: number): Promise<boolean> {
  const socket = connect({ host: "localhost", port });
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}
