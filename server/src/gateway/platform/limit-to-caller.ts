import type { AccountId } from "../../ids.ts";
import type { Caller } from "../../keys/caller.ts";

/**
 * The part of a filter that says whose requests a caller may see: a key of scope API its own account's, a key of scope
 * ADMIN everybody's, since it belongs to the operator of the server.
 */
export function limitToCaller(caller: Caller): { readonly accountId?: AccountId } {
  return caller.scope === "ADMIN" ? {} : { accountId: caller.accountId };
}

/** True when the caller may see what this account owns. */
export function maySee(caller: Caller, accountId: AccountId): boolean {
  return caller.scope === "ADMIN" || caller.accountId === accountId;
}
