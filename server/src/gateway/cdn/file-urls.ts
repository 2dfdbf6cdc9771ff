import type { TokenIssuer } from "../../keys/token-issuer.ts";
import type { PublicUrls } from "../public-urls.ts";

export { parseFileUrl } from "../../files/file-path.ts";

/** URL of a stored file. */
export function formatFileUrl(urls: PublicUrls, path: string): string {
  return `${urls.files}/${path}`;
}

/** The file's URL, readable by whoever has it until `expiresAt`, whatever the access rules say. */
export function signFileUrl(tokens: TokenIssuer, urls: PublicUrls, path: string, expiresAt: number): string {
  return `${formatFileUrl(urls, path)}?identity=${encodeGrant(tokens, "read", path, expiresAt)}`;
}

export function verifyFileIdentity(tokens: TokenIssuer, path: string, identity: string): boolean {
  return verifyGrant(tokens, "read", path, identity);
}

/**
 * Where an upload's bytes go. The right to write is part of the path, not of the query, because one kind of caller
 * appends part numbers to the URL as text and another inserts them before the query: both work.
 */
export function formatUploadUrl(
  tokens: TokenIssuer,
  urls: PublicUrls,
  upload: { readonly id: string; readonly expiresAt: number },
): string {
  return `${urls.files}/uploads/${upload.id}.${encodeGrant(tokens, "upload", upload.id, upload.expiresAt)}`;
}

/** The upload's id when the text is one that {@link formatUploadUrl} made and its time is not over. */
export function parseUploadGrant(tokens: TokenIssuer, text: string): string | undefined {
  const id = text.slice(0, 21);
  return text[21] === "." && verifyGrant(tokens, "upload", id, text.slice(22)) ? id : undefined;
}

function encodeGrant(
  tokens: TokenIssuer,
  purpose: "read" | "upload",
  text: string,
  expiresAt: number,
): string {
  return `${expiresAt.toString(36)}.${tokens.sign(purpose, text, expiresAt)}`;
}

function verifyGrant(tokens: TokenIssuer, purpose: "read" | "upload", text: string, grant: string): boolean {
  const [, time, signature] = /^([0-9a-z]{1,9})\.([A-Za-z0-9_-]{1,100})$/.exec(grant) ?? [];
  if (time === undefined || signature === undefined) return false;
  return tokens.verifySignature(purpose, text, Number.parseInt(time, 36), signature);
}
