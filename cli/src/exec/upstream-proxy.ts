import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

type Environment = Readonly<Record<string, string | undefined>>;

/** The proxy that the environment already names for https, and for which hosts. */
export interface UpstreamProxy {
  /** A connection to the host, through the proxy where the environment says so. Nothing was sent on it yet. */
  connect(host: string, port: number): Promise<Socket>;
}

const CONNECT_TIMEOUT_MS = 60_000;

/** Reads `HTTPS_PROXY` (else `ALL_PROXY`) and `NO_PROXY`, lower case first, as curl and most libraries do. */
export function createUpstreamProxy(environment: Environment): UpstreamProxy {
  const text = read(environment, "https_proxy") ?? read(environment, "all_proxy");
  const address = text === undefined ? undefined : text.includes("://") ? text : `http://${text}`;
  const proxy = address !== undefined && URL.canParse(address) ? new URL(address) : undefined;
  const exceptions = splitExceptions(read(environment, "no_proxy"));
  return {
    async connect(host, port) {
      if (proxy === undefined || exceptions.some((entry) => matchesException(entry, host, port)))
        return await open(host, port);
      if (proxy.protocol !== "http:" && proxy.protocol !== "https:")
        throw new Error(
          `the proxy ${proxy.protocol}//${proxy.host} is of a kind that sluice exec cannot pass on to`,
        );
      return await openThroughProxy(proxy, host, port);
    },
  };
}

/** The entries of `NO_PROXY`. */
export function splitExceptions(text: string | undefined): readonly string[] {
  return (text ?? "").split(/[\s,]+/).filter((entry) => entry !== "");
}

/** Whether an entry of `NO_PROXY` (`*`, `name`, `.name`, `*.name`, each with or without a port) covers the host. */
export function matchesException(entry: string, host: string, port: number): boolean {
  if (entry === "*") return true;
  const [, name = "", wanted] = /^(\[[^\]]*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
  if (wanted !== undefined && Number(wanted) !== port) return false;
  const bare = name.replace(/^\*?\./, "").replace(/^\[|\]$/g, "");
  const target = host.toLowerCase().replace(/^\[|\]$/g, "");
  return bare !== "" && (target === bare || target.endsWith(`.${bare}`));
}

function read(environment: Environment, name: string): string | undefined {
  return environment[name] || environment[name.toUpperCase()] || undefined;
}

function open(host: string, port: number): Promise<Socket> {
  const socket = connect({ host: host.replace(/^\[|\]$/g, ""), port, allowHalfOpen: true });
  return ready(socket, "connect");
}

function ready<S extends Socket>(socket: S, event: "connect" | "secureConnect"): Promise<S> {
  return new Promise((resolve, reject) => {
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error("no connection within a minute")));
    socket.once("error", reject);
    socket.once(event, () => {
      socket.setTimeout(0);
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

async function openThroughProxy(proxy: URL, host: string, port: number): Promise<Socket> {
  const proxyHost = proxy.hostname.replace(/^\[|\]$/g, "");
  const proxyPort = Number(proxy.port || (proxy.protocol === "https:" ? 443 : 80));
  const socket =
    proxy.protocol === "https:"
      ? await ready(connectTls({ host: proxyHost, port: proxyPort, servername: proxyHost }), "secureConnect")
      : await open(proxyHost, proxyPort);
  const authority = `${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${port}`;
  const user = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  const credentials =
    proxy.username === "" ? "" : `Proxy-Authorization: Basic ${Buffer.from(user).toString("base64")}\r\n`;
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credentials}\r\n`);
  try {
    const status = await readConnectAnswer(socket);
    if (status < 200 || status > 299) throw new Error(`the proxy ${proxy.host} answered ${status}`);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

const MAX_HEAD_BYTES = 64 * 1024;

/** Reads the head of the proxy's answer and leaves what follows it on the socket. */
function readConnectAnswer(socket: Socket): Promise<number> {
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    const stop = (): void => {
      clearTimeout(timer);
      socket.pause();
      socket.off("data", take);
      socket.off("error", fail);
      socket.off("end", end);
    };
    const fail = (error: Error): void => {
      stop();
      reject(error);
    };
    const end = (): void => fail(new Error("the proxy closed the connection"));
    const take = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const at = head.indexOf("\r\n\r\n");
      if (at === -1 && head.length < MAX_HEAD_BYTES) return;
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(head.toString("latin1"))?.[1];
      if (at === -1 || status === undefined) {
        fail(new Error("the proxy's answer is not HTTP"));
        return;
      }
      stop();
      if (head.length > at + 4) socket.unshift(head.subarray(at + 4));
      resolve(Number(status));
    };
    const timer = setTimeout(() => fail(new Error("the proxy does not answer")), CONNECT_TIMEOUT_MS);
    socket.on("data", take);
    socket.once("error", fail);
    socket.once("end", end);
  });
}
