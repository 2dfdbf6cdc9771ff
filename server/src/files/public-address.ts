import ipaddr from "ipaddr.js";

/** Which addresses this server may be made to call by what a caller wrote. */
export type AddressRule = (address: string) => boolean;

/**
 * True for an address of the public Internet. Everything that is special is not: loopback, private, link-local,
 * carrier-grade NAT, multicast, unspecified, documentation and benchmark ranges, and every IPv6 form that carries an
 * IPv4 address to somewhere else (NAT64, 6to4, Teredo, IPv4-compatible). An IPv4-mapped address is judged by what is
 * mapped.
 */
export const isPublicAddress: AddressRule = (address) => {
  const ip = parse(address);
  if (ip === undefined || ip.range() !== "unicast") return false;
  // Global unicast is 2000::/3; what is outside it and has no name yet is not public.
  return ip.kind() === "ipv4" || isWithin(ip, "2000::/3");
};

/**
 * For operators who let private addresses be called: those, loopback included, but still nothing that answers for the
 * machine's own cloud (link-local), and nothing that is no single host.
 */
export const isPublicOrPrivateAddress: AddressRule = (address) => {
  if (isPublicAddress(address)) return true;
  const range = parse(address)?.range();
  return (
    range === "loopback" || range === "private" || range === "uniqueLocal" || range === "carrierGradeNat"
  );
};

function parse(address: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  // A zone ("fe80::1%eth0") only exists on link-local addresses.
  if (address.includes("%") || !ipaddr.isValid(address)) return undefined;
  return ipaddr.process(address);
}

function isWithin(ip: ipaddr.IPv4 | ipaddr.IPv6, range: string): boolean {
  const [network, bits] = ipaddr.parseCIDR(range);
  return ip.kind() === network.kind() && ip.match(network, bits);
}
