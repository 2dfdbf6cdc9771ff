import { randomBytes } from "node:crypto";
import { createSafeFileName } from "./content-type.ts";

/** A path that cannot be guessed: `files/b/{8 hex}/{21 characters}_{name}`, 126 random bits in the characters. */
export function createFilePath(fileName: string, contentType: string): string {
  const folder = randomBytes(4).toString("hex");
  return `files/b/${folder}/${createUnguessableId()}_${createSafeFileName(fileName, contentType)}`;
}

/** 21 characters of `[A-Za-z0-9_-]`: 126 random bits. */
export function createUnguessableId(): string {
  return randomBytes(16).toString("base64url").slice(0, 21);
}

export const UNGUESSABLE_ID: RegExp = /^[A-Za-z0-9_-]{21}$/;

/** Matches the path of a file, and nothing that could be anything else. */
export const FILE_PATH: RegExp = /^files\/b\/[0-9a-f]{8}\/[A-Za-z0-9_-]{21}_[A-Za-z0-9._-]{1,100}$/;

/**
 * The path of a stored file in any URL form of this server (its own origin with the mount, a virtual host, the hosted
 * service's file hosts) or alone; undefined when it is none. A path that cannot be guessed needs no origin to be known.
 */
export function parseFileUrl(text: string): string | undefined {
  const path = /^https?:\/\//i.test(text) && URL.canParse(text) ? new URL(text).pathname : text;
  const [, found] = /^\/?(?:cdn\/)?(files\/b\/.*)$/.exec(path) ?? [];
  return found !== undefined && FILE_PATH.test(found) ? found : undefined;
}
