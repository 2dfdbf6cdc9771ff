import type { WebSocket } from "ws";

/** Pings a socket as long as it is open, and drops it when the other side shows no sign of life. */
export function keepAlive(
  socket: WebSocket,
  { pingMs, silenceMs }: { readonly pingMs: number; readonly silenceMs: number },
): void {
  let heardAt = performance.now();
  const hear = (): void => {
    heardAt = performance.now();
  };
  const timer = setInterval(() => {
    if (performance.now() - heardAt > silenceMs) socket.terminate();
    else if (socket.readyState === socket.OPEN) socket.ping();
  }, pingMs);
  socket.on("pong", hear);
  socket.on("ping", hear);
  socket.on("message", hear);
  socket.on("close", () => clearInterval(timer));
}
