import type { WebSocket } from "ws";

export interface LifeSigns {
  /** Time between pings, in milliseconds. */
  readonly pingMs: number;
  /** Longest silence of the other side, in milliseconds. */
  readonly silenceMs: number;
  /** Bytes received so far: a long message on a slow line is a sign of life before it is whole. */
  readonly countReceived: () => number;
}

/** Pings a socket as long as it is open, and drops it when nothing comes from the other side, not even a pong. */
export function keepAlive(socket: WebSocket, { pingMs, silenceMs, countReceived }: LifeSigns): void {
  let heardAt = performance.now();
  let received = countReceived();
  const timer = setInterval(() => {
    const now = performance.now();
    const count = countReceived();
    // What is not read because this side is busy cannot be silence of the other.
    if (count !== received || socket.isPaused) heardAt = now;
    received = count;
    if (now - heardAt > silenceMs) socket.terminate();
    else if (socket.readyState === socket.OPEN) socket.ping();
  }, pingMs);
  socket.on("close", () => clearInterval(timer));
}
