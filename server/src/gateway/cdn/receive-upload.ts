import { DatabaseError } from "../../database/database.ts";
import { BlobTooLargeError } from "../../files/blob-store.ts";
import type { AccountId, KeyId } from "../../ids.ts";
import type { Call } from "../call.ts";
import type { GatewayContext } from "../context.ts";
import { discardBody } from "../read-body.ts";
import type { Respond } from "../respond.ts";

/** Takes bytes from callers with bounded memory and a bounded size. Who stops sending is the listener's to end. */
export interface UploadReceiver {
  /** How many bytes this key may still store (null: no limit of its own), or the answer that refuses any. */
  findRoom(owner: UploadOwner): Promise<{ readonly maxBytes: number | null } | Response>;
  /**
   * Hands the body to `store` as a stream and answers for everything that may go wrong on the way.
   *
   * @param maxBytes the room that was found, null for none
   */
  receive(
    call: Call,
    maxBytes: number | null,
    store: (content: AsyncIterable<Uint8Array>, options: ReceiveOptions) => Promise<Response>,
  ): Promise<Response>;
}

export interface UploadOwner {
  readonly accountId: AccountId;
  readonly keyId: KeyId | null;
}

export interface ReceiveOptions {
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

export function createUploadReceiver(context: GatewayContext, respond: Respond): UploadReceiver {
  const { settings, keys, files, blobs } = context;
  const isDiskShort = async (bytes: number): Promise<boolean> => {
    // A storage that cannot say must not stop the server: a write that fails says so itself.
    const free = await blobs.getFreeBytes().catch(() => undefined);
    return free !== undefined && free - bytes < settings.minFreeBytes;
  };
  const storageClosed = (): Response =>
    respond.sentence(503, "The server cannot store files at the moment; try again later.", {
      "retry-after": "60",
    });
  const tooLarge = (): Response => respond.sentence(413, "Request body too large");
  const overLimit = (): Response =>
    respond.flat("rate_limited", "The storage limit of this key is reached; remove files first.", {
      "retry-after": "3600",
    });

  return {
    async findRoom({ accountId, keyId }) {
      if (await isDiskShort(0)) return storageClosed();
      const key = keyId === null ? undefined : await keys.find(keyId);
      const limit = key?.limits.storedBytes;
      if (limit === undefined) return { maxBytes: null };
      const room = limit - (await files.getStoredBytes(accountId));
      return room <= 0 ? overLimit() : { maxBytes: room };
    },

    async receive(call, room, store) {
      const { request } = call;
      const maxBytes = Math.min(settings.maxUploadBytes, room ?? Number.POSITIVE_INFINITY);
      const refuseSize = (): Response => (maxBytes < settings.maxUploadBytes ? overLimit() : tooLarge());
      const declared = Number(request.headers.get("content-length") ?? 0);
      if (declared > maxBytes) {
        if (request.body !== null) await discardBody(request.body.getReader());
        return refuseSize();
      }
      if (await isDiskShort(declared)) return storageClosed();
      try {
        return await store(readChunks(request.body), { maxBytes, signal: request.signal });
      } catch (error) {
        if (error instanceof BlobTooLargeError) return refuseSize();
        if (isStorageClosed(error)) {
          context.logger.error({ err: error }, "uploads cannot be stored: the disk is full or read-only");
          return storageClosed();
        }
        // Nobody is left to read this answer; it ends the call without an alarm.
        if (request.signal.aborted || error instanceof BrokenBodyError)
          return respond.sentence(400, "The upload broke off before its end.", { connection: "close" });
        throw error;
      }
    },
  };
}

/** The caller's side failed, not the storage's. */
class BrokenBodyError extends Error {}

async function* readChunks(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    while (true) {
      const { value } = await reader.read().catch((cause: unknown) => {
        throw new BrokenBodyError("The request's body could not be read.", { cause });
      });
      if (value === undefined) return;
      yield value;
    }
  } finally {
    // Whoever stops reading has an answer that the caller should hear.
    await discardBody(reader);
  }
}

/** The disk is full or read-only: nothing that this call could do about it. */
function isStorageClosed(error: unknown): boolean {
  if (error instanceof DatabaseError) return error.kind === "full" || error.kind === "read_only";
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT" || code === "EROFS";
}
