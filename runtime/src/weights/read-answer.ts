/** What was asked of a server: all of a file, or its bytes from `from` on. */
export interface AskedPart {
  readonly from: number;
  /** Length of the file, where it is known. */
  readonly bytes: number | undefined;
  /** What the bytes before `from` are of; undefined where nothing tells. */
  readonly version: FileVersion | undefined;
  /** A hash of the whole will tell whether the parts belong together. */
  readonly isHashed: boolean;
}

/** By what two answers are known to be of the same file. */
export interface FileVersion {
  /** A strong one. */
  readonly etag: string;
  /** Length of the file, where it was told. */
  readonly bytes: number | undefined;
}

/** What an answer brings: bytes from one place on, or a reason why it brings nothing that can be used. */
export type FileAnswer =
  | {
      readonly kind: "bytes";
      /** Where they belong: where they were asked from, or 0 when the server sends all of the file. */
      readonly from: number;
      /** One after the last of them; undefined when only the end of the body tells. */
      readonly end: number | undefined;
      /** Length of the file. */
      readonly total: number | undefined;
      /** Undefined when a later answer cannot be known to be of the same file. */
      readonly version: FileVersion | undefined;
    }
  | { readonly kind: "unusable"; readonly why: string };

/**
 * Reads the head of an answer. Servers, caches and proxies between get ranges wrong in many ways, and a part in the wrong
 * place is a damaged file that has the right length: a part is taken only when it says that it is the one that was asked
 * for, of the same file.
 */
export function readAnswer(response: Response, asked: AskedPart): FileAnswer {
  if (response.status === 200) return readWhole(response, asked);
  if (response.status === 206) return readPart(response, asked);
  return unusable(`the answer is ${response.status}`);
}

/** Whether the server says that nothing of the file comes after the bytes that are there, which are all of that version. */
export function isAtEnd({ status, headers }: Response, { from, version }: AskedPart): boolean {
  return (
    status === 416 &&
    from > 0 &&
    version?.bytes === from &&
    headers.get("content-range") === `bytes */${from}`
  );
}

function readWhole({ headers }: Response, { bytes }: AskedPart): FileAnswer {
  // Of an encoded body the length is told of what is sent, not of the file; its ETag is not of the file either.
  const isEncoded = getEncoding(headers) !== undefined;
  const told = isEncoded ? undefined : readLength(headers);
  if (bytes !== undefined && told !== undefined && told !== bytes)
    return unusable(`it has ${told} bytes instead of ${bytes}`);
  const total = told ?? bytes;
  const etag = isEncoded ? undefined : readStrongEtag(headers);
  return {
    kind: "bytes",
    from: 0,
    end: told,
    total,
    version: etag === undefined ? undefined : { etag, bytes: total },
  };
}

function readPart({ headers }: Response, { from, bytes, version, isHashed }: AskedPart): FileAnswer {
  const encoding = getEncoding(headers);
  if (encoding !== undefined) return unusable(`a part of it is sent as ${encoding}`);
  const range = headers.get("content-range") ?? "";
  const [, first, last, length] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(range) ?? [];
  const end = Number(last) + 1;
  const expected = bytes ?? version?.bytes;
  const total = length === "*" ? expected : Number(length);
  const isRight =
    Number(first) === from &&
    from < end &&
    total !== undefined &&
    end <= total &&
    total === (expected ?? total);
  if (!isRight)
    return unusable(
      `asked for the bytes from ${from} on${expected === undefined ? "" : ` of ${expected}`}, it sends "${range}"`,
    );
  const etag = readStrongEtag(headers);
  // A hash has the last word where no two ETags can be compared.
  const isSame = version === undefined || etag === undefined ? isHashed || from === 0 : etag === version.etag;
  if (!isSame) return unusable("the part may be of another version of it");
  return {
    kind: "bytes",
    from,
    end,
    total,
    version: etag === undefined ? undefined : { etag, bytes: total },
  };
}

function unusable(why: string): FileAnswer {
  return { kind: "unusable", why };
}

function getEncoding(headers: Headers): string | undefined {
  const encoding = headers.get("content-encoding")?.toLowerCase();
  return encoding === "identity" ? undefined : encoding;
}

function readLength(headers: Headers): number | undefined {
  const length = headers.get("content-length");
  return length !== null && /^\d+$/.test(length) ? Number(length) : undefined;
}

function readStrongEtag(headers: Headers): string | undefined {
  const etag = headers.get("etag");
  return etag?.startsWith('"') ? etag : undefined;
}
