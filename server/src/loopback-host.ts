import ipaddr from "ipaddr.js";

/** True for a host that only this machine reaches: `localhost` and the addresses of the loopback, in brackets (as URLs have them) or not. */
export function isLoopbackHost(host: string): boolean {
  if (host === "localhost") return true;
  const address = host.replace(/^\[(.*)\]$/, "$1");
  return ipaddr.isValid(address) && ipaddr.process(address).range() === "loopback";
}
