import { request } from "node:http";
import { join } from "node:path";
import type { ControlCommand } from "./control-server.ts";

/** The socket of the server that holds this data folder. */
export function getControlPath(dataDir: string): string {
  return join(dataDir, "sluice.sock");
}

/**
 * Sends one command to the server that holds the data folder.
 * @returns its answer; undefined when no server holds the folder
 * @throws Error with the server's words when it refuses
 */
export function sendControlCommand(
  dataDir: string,
  command: ControlCommand,
): Promise<{ readonly answer: unknown } | undefined> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: getControlPath(dataDir), method: "POST", path: "/" }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const answer = JSON.parse(Buffer.concat(chunks).toString("utf8")) as { error?: string };
        if (response.statusCode === 200) resolve({ answer });
        else reject(new Error(answer.error ?? `The server answered ${response.statusCode}.`));
      });
    });
    call.on("error", (error: NodeJS.ErrnoException) => {
      // No socket, or one that a dead server left: nobody holds the folder.
      if (error.code === "ENOENT" || error.code === "ECONNREFUSED" || error.code === "ENOTSOCK")
        resolve(undefined);
      else if (error.code === "EACCES" || error.code === "EPERM")
        reject(
          new Error(
            `The data folder ${dataDir} is another user's. Run the command as the user that runs the server.`,
            { cause: error },
          ),
        );
      else reject(error);
    });
    call.end(JSON.stringify(command));
  });
}
