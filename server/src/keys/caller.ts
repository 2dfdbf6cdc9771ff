import type { AccountId, KeyId } from "../ids.ts";
import type { Scope } from "./key-store.ts";

/** Who calls, once a credential was accepted. */
export interface Caller {
  readonly accountId: AccountId;
  /** Null for tokens that were issued to nobody's key. */
  readonly keyId: KeyId | null;
  readonly scope: Scope;
  /** `key`: Authorization: Key. `token`: a short-lived runtime token. `cdn`: a token for files only. */
  readonly credential: "key" | "token" | "cdn";
  /** For runtime tokens: the apps it may call. */
  readonly apps?: readonly string[];
}
