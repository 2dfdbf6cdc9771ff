/**
 * A path as logs may hold it: an inbox, a grant to upload and a choice of files are open to whoever knows their address.
 */
export function hideSecrets(path: string): string {
  return path.replace(/(\/(?:inbox|uploads|archives)\/)[^/]+/g, "$1…");
}
