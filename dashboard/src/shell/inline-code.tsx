import type { ReactNode } from "react";

/** A sentence of a model's author; what stands in backquotes is shown as code, everything else as it is. */
export function InlineCode({ text }: { readonly text: string }): ReactNode {
  return text.split(/(`[^`]+`)/).map((part, index) =>
    // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one sentence never change places
    part.startsWith("`") && part.length > 2 ? <code key={index}>{part.slice(1, -1)}</code> : part,
  );
}
