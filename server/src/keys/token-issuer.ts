import type { Caller } from "./caller.ts";

/** Short-lived tokens, signed by this server: runtime tokens for browsers, CDN tokens for files, signed URLs. */
export interface TokenIssuer {
  /** A JWT that may call `apps` for `seconds` (at most 3600) on the run and ws surfaces and read status streams. */
  issueRuntimeToken(caller: Caller, apps: readonly string[], seconds: number): Promise<string>;
  /** A JWT for uploads and restricted reads, at most 30 days. */
  issueCdnToken(
    caller: Caller,
    seconds: number,
  ): Promise<{ readonly token: string; readonly expiresAt: number }>;
  /**
   * A JWT that stands for the caller's key together with `secret`, which it holds only as a hash: for pages that signed
   * in, at most 12 hours.
   */
  issueSessionToken(caller: Caller, secret: string, seconds: number): Promise<string>;
  /** The caller as its key is now; undefined when token and secret do not belong together, or the key was revoked. */
  verifySession(token: string, secret: string): Promise<Caller | undefined>;
  /** The caller behind a token; undefined when it is not ours, expired (30 s of skew allowed) or its key was revoked. */
  verify(token: string): Promise<Caller | undefined>;
  /** A signature over `text` that `verifySignature` accepts until `expiresAt`. For upload and signed read URLs. */
  sign(purpose: "upload" | "read", text: string, expiresAt: number): string;
  verifySignature(purpose: "upload" | "read", text: string, expiresAt: number, signature: string): boolean;
}
