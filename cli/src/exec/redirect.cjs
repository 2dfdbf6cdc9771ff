// Loaded by every Node program below `sluice exec`, before the program itself (NODE_OPTIONS --require). It leads TLS
// connections to the official hosts to the interceptor of `sluice exec`, and changes nothing else. It is plain
// CommonJS without dependencies because it runs in the program's Node, whichever version that is.
"use strict";

const { readFileSync } = require("node:fs");
const { syncBuiltinESMExports } = require("node:module");
const tls = require("node:tls");

/** @returns {{ port: number, authority: string, hosts: string[] } | undefined} */
function readSettings() {
  try {
    const { port, authority, hosts } = JSON.parse(process.env["SLUICE_EXEC"] ?? "");
    return { port, hosts, authority: readFileSync(authority, "utf8") };
  } catch {
    return undefined; // Not below `sluice exec`, or it has ended: nothing to lead anywhere.
  }
}

const settings = readSettings();
const MARK = Symbol.for("sluice.exec.redirected");

if (settings !== undefined && tls[MARK] === undefined) {
  const { port, authority, hosts } = settings;
  const connect = tls.connect;

  const isOfficial = (name) => {
    const host = name.toLowerCase().replace(/\.$/, "");
    return hosts.includes(host) || hosts.includes(`*.${host.slice(host.indexOf(".") + 1)}`);
  };

  /** The options of a call in any of its forms; undefined for a socket's path. */
  const readOptions = (values) => {
    const [first] = values;
    if (typeof first === "object" && first !== null) return first;
    if (typeof first === "string" && !/^\d+$/.test(first)) return undefined;
    const host = typeof values[1] === "string" ? values[1] : undefined;
    const options = values.find((value) => typeof value === "object" && value !== null);
    return { ...options, port: first, ...(host === undefined ? {} : { host }) };
  };

  tls.connect = function (...values) {
    const options = readOptions(values);
    const host = options?.host ?? options?.servername;
    const isLedAway =
      typeof host === "string" &&
      isOfficial(host) &&
      !options.socket && // Through a proxy: ours knows these hosts too.
      !options.path &&
      Number(options.port || 443) === 443;
    if (!isLedAway) return connect.apply(this, values);
    const led = { ...options, host: "127.0.0.1", port, ca: [authority] };
    led.servername = options.servername || host;
    // They speak of the way to the real host, or pin its certificate.
    for (const name of [
      "lookup",
      "localAddress",
      "localPort",
      "family",
      "secureContext",
      "checkServerIdentity",
    ])
      delete led[name];
    const callback = values.find((value) => typeof value === "function");
    return callback === undefined ? connect.call(this, led) : connect.call(this, led, callback);
  };
  tls[MARK] = true;
  syncBuiltinESMExports();
}
