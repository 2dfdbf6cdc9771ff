import type { ReactNode } from "react";

/** What went wrong, told to screen readers at once; nothing while `text` is undefined. */
export function Alert({ text }: { readonly text: string | undefined }): ReactNode {
  if (text === undefined) return null;
  return (
    <p className="notice" role="alert">
      {text}
    </p>
  );
}
