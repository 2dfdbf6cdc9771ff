import ipaddr from "ipaddr.js";

/** True for a host that only this machine reaches: `localhost` and the addresses of the loopback. */
export function isLoopbackHost(host: string): boolean {
  if (host === "localhost") return true;
  return ipaddr.isValid(host) && ipaddr.process(host).range() === "loopback";
}
