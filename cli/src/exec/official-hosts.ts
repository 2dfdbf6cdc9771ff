/**
 * The names by which clients of the fal model API find it; a leading `*.` stands for one label. Connections to them
 * on port 443 lead to this server inside `sluice exec`, all others go where they would have gone.
 */
export const OFFICIAL_HOSTS: readonly string[] = [
  "fal.run",
  "queue.fal.run",
  "ws.fal.run",
  "falrun.com",
  "queue.falrun.com",
  "rest.fal.ai",
  "rest.alpha.fal.ai",
  "api.fal.ai",
  "fal.media",
  "*.fal.media",
];

/** True for a name of the list, in any case, with or without the dot of the root. */
export function isOfficialHost(name: string): boolean {
  const host = name.toLowerCase().replace(/\.$/, "");
  const parent = host.slice(host.indexOf(".") + 1);
  return OFFICIAL_HOSTS.includes(host) || OFFICIAL_HOSTS.includes(`*.${parent}`);
}
