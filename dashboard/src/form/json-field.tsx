import { type ReactNode, useState } from "react";
import type { WidgetProps } from "./schema-form.tsx";

/** A list or an object, as JSON. */
export function JsonField({ id, value, onChange, describedBy, isInvalid }: WidgetProps): ReactNode {
  const [text, setText] = useState(value === undefined ? "" : JSON.stringify(value, null, 2));
  const [isBroken, setBroken] = useState(false);
  return (
    <>
      <textarea
        id={id}
        className="input code-input"
        rows={4}
        spellCheck={false}
        value={text}
        aria-describedby={describedBy}
        aria-invalid={isInvalid || isBroken}
        onChange={(event) => {
          const typed = event.target.value;
          setText(typed);
          try {
            onChange(typed.trim() === "" ? undefined : JSON.parse(typed));
            setBroken(false);
          } catch {
            setBroken(true);
          }
        }}
      />
      {isBroken ? <p className="problem">This is not JSON yet; the last complete value is used.</p> : null}
    </>
  );
}
