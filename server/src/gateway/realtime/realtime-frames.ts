import { decode, encode } from "@msgpack/msgpack";

/** An input as it came: msgpack in a binary frame, JSON in a text frame. It is answered in the same form. */
export interface InputFrame {
  readonly data: Uint8Array;
  readonly isBinary: boolean;
}

/**
 * The value in a frame. Bytes inside a msgpack input become data URIs, which is what models read.
 * @throws Error when it is not what it should be
 */
export function decodeInput({ data, isBinary }: InputFrame): unknown {
  if (!isBinary) return JSON.parse(Buffer.from(data).toString("utf8"));
  // Of a Buffer, parts would be Buffers, which write themselves as something else.
  const value = decode(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return JSON.parse(JSON.stringify(value, replaceBytes) ?? "null");
}

export function encodeOutput(
  output: unknown,
  { isBinary }: Pick<InputFrame, "isBinary">,
): string | Uint8Array {
  return isBinary ? encode(output) : JSON.stringify(output);
}

function replaceBytes(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return value instanceof Uint8Array
    ? `data:application/octet-stream;base64,${Buffer.from(value).toString("base64")}`
    : value;
}
