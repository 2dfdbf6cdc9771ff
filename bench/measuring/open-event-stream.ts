import { type ClientRequest, get } from "node:http";

export interface OpenStream {
  close(): void;
}

/** Opens a stream of server-sent events; resolves with its first bytes. Counts events, does not read them. */
export function openEventStream(
  url: string,
  headers: Readonly<Record<string, string>>,
  onEvent: () => void,
): Promise<OpenStream> {
  return new Promise((resolve, reject) => {
    const request: ClientRequest = get(url, {
      headers: { ...headers, accept: "text/event-stream" },
      agent: false,
    });
    request.on("error", reject); // after the promise is settled: the end of a stream that was closed
    request.on("response", (response) => {
      if (response.statusCode !== 200) {
        response.resume();
        reject(new Error(`The stream was answered ${response.statusCode}.`));
        return;
      }
      response.setEncoding("latin1");
      response.on("error", () => {}); // closed by us
      response.on("data", (text: string) => {
        for (let at = text.indexOf("data:"); at !== -1; at = text.indexOf("data:", at + 5)) onEvent();
        resolve({ close: () => request.destroy() });
      });
    });
  });
}
