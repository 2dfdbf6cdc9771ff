import type { ReactNode } from "react";

/** A table that may be wider than the page: it scrolls by itself, by keyboard too. */
export function TableBox({
  label,
  children,
}: {
  readonly label: string;
  readonly children: ReactNode;
}): ReactNode {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <section className="table-box" aria-label={label} tabIndex={0}>
      <table className="table">{children}</table>
    </section>
  );
}
