import assert from "node:assert/strict";
import { test } from "node:test";
import { isPublicAddress, isPublicOrPrivateAddress } from "./public-address.ts";

const PUBLIC = [
  "8.8.8.8",
  "1.1.1.1",
  "93.184.216.34",
  "172.15.0.1",
  "172.32.0.1",
  "2606:4700::1111",
  "::ffff:8.8.8.8",
];
const PRIVATE = [
  "127.0.0.1",
  "127.255.255.254",
  "10.0.0.1",
  "172.16.0.1",
  "172.31.255.255",
  "192.168.1.1",
  "100.64.0.1",
  "::1",
  "fc00::1",
  "fd12:3456::1",
  "::ffff:127.0.0.1",
  "::ffff:10.0.0.1",
  "::ffff:7f00:1",
  // Read as the mapped form by the parser; no resolver writes it so.
  "::127.0.0.1",
];
const NEVER = [
  "0.0.0.0",
  "0.1.2.3",
  "169.254.169.254",
  "169.254.0.1",
  "224.0.0.1",
  "239.255.255.255",
  "240.0.0.1",
  "255.255.255.255",
  "192.0.0.1",
  "192.0.2.1",
  "198.18.0.1",
  "198.51.100.1",
  "203.0.113.1",
  "192.88.99.1",
  "::",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
  "::7f00:1",
  "::ffff:0:127.0.0.1",
  "::ffff:169.254.169.254",
  "64:ff9b::7f00:1",
  "64:ff9b::808:808",
  "64:ff9b:1::7f00:1",
  "2002:7f00:1::",
  "2001::1",
  "2001:db8::1",
  "100::1",
  "4000::1",
  "",
  "localhost",
  "example.org",
];

test("only addresses of the public Internet may be called", () => {
  for (const address of PUBLIC) assert.equal(isPublicAddress(address), true, address);
  for (const address of [...PRIVATE, ...NEVER]) assert.equal(isPublicAddress(address), false, address);
});

test("an operator may let private networks be called, but not what answers for the machine's own cloud", () => {
  for (const address of [...PUBLIC, ...PRIVATE])
    assert.equal(isPublicOrPrivateAddress(address), true, address);
  for (const address of NEVER) assert.equal(isPublicOrPrivateAddress(address), false, address);
});
