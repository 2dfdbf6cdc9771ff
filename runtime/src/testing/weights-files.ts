/** A safetensors file with tensors of these names, each of one number. */
export function writeSafetensors(
  names: readonly string[],
  metadata: Readonly<Record<string, string>> = {},
): Buffer {
  const tensors = Object.fromEntries(
    names.map((name, i) => [name, { dtype: "F32", shape: [1], data_offsets: [4 * i, 4 * i + 4] }]),
  );
  const head = Buffer.from(JSON.stringify({ __metadata__: metadata, ...tensors }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(head.length));
  return Buffer.concat([length, head, Buffer.alloc(4 * names.length)]);
}

/** A GGUF file of version 3 with tensors of these names, each of one number. */
export function writeGguf(names: readonly string[], metadata: Readonly<Record<string, string>> = {}): Buffer {
  const uint32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  const uint64 = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
  };
  const text = (value: string) => Buffer.concat([uint64(Buffer.byteLength(value)), Buffer.from(value)]);
  const entries = Object.entries(metadata).flatMap(([key, value]) => [text(key), uint32(8), text(value)]);
  const tensors = names.flatMap((name, i) => [text(name), uint32(1), uint64(1), uint32(0), uint64(32 * i)]);
  const head = Buffer.concat([
    Buffer.from("GGUF"),
    uint32(3),
    uint64(names.length),
    uint64(Object.keys(metadata).length),
    ...entries,
    ...tensors,
  ]);
  return Buffer.concat([head, Buffer.alloc(32 * names.length + 32)]);
}
