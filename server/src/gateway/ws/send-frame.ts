import type { WebSocket } from "ws";

/**
 * Sends one frame and resolves when the socket has taken it, so that a slow reader slows down who sends. Text goes as
 * a text frame, bytes as a binary one. Resolves too when the socket is gone: that is told by its close.
 */
export function sendFrame(socket: WebSocket, data: string | Uint8Array): Promise<void> {
  if (socket.readyState !== socket.OPEN) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      socket.off("close", end);
      resolve();
    };
    socket.once("close", end);
    socket.send(data, { binary: typeof data !== "string" }, end);
  });
}
