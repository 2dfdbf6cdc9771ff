import { createSupportsTerminalGraphics } from "supports-terminal-graphics";

/**
 * Shows a picture in terminals that can (kitty's and iTerm2's protocols). Others show nothing.
 * @returns true when something was written
 */
export async function showPicture(
  bytes: Uint8Array,
  name: string,
  stream: NodeJS.WriteStream = process.stdout,
): Promise<boolean> {
  if (!stream.isTTY) return false;
  const support = createSupportsTerminalGraphics(stream);
  if (support.iterm2) {
    const base64 = Buffer.from(bytes).toString("base64");
    const label = Buffer.from(name).toString("base64");
    stream.write(`\u001B]1337;File=name=${label};size=${bytes.length};inline=1;width=40:${base64}\u0007\n`);
    return true;
  }
  if (support.kitty) {
    const base64 = (await toPng(bytes)).toString("base64");
    // The protocol takes PNG (f=100) in chunks of at most 4096 characters; m=1 says that more follow.
    for (let at = 0; at < base64.length; at += 4096) {
      const more = at + 4096 < base64.length ? 1 : 0;
      const control = at === 0 ? `a=T,f=100,c=40,m=${more}` : `m=${more}`;
      stream.write(`\u001B_G${control};${base64.slice(at, at + 4096)}\u001B\\`);
    }
    stream.write("\n");
    return true;
  }
  return false;
}

/** The protocol takes PNG only. */
async function toPng(bytes: Uint8Array): Promise<Buffer> {
  const { default: sharp } = await import("sharp");
  return await sharp(bytes).resize({ width: 800, withoutEnlargement: true }).png().toBuffer();
}
