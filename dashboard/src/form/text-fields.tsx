import type { ReactNode } from "react";
import { listChoices } from "../schema/schema.ts";
import type { WidgetProps } from "./schema-form.tsx";

/** A text area that grows with its text. */
export function PromptField({ id, value, onChange, describedBy, isInvalid, field }: WidgetProps): ReactNode {
  return (
    <textarea
      id={id}
      className="input prompt"
      rows={4}
      value={typeof value === "string" ? value : ""}
      onChange={(event) => onChange(event.target.value)}
      aria-describedby={describedBy}
      aria-invalid={isInvalid}
      aria-required={field.isRequired}
    />
  );
}

export function TextField({ id, value, onChange, describedBy, isInvalid, field }: WidgetProps): ReactNode {
  return (
    <input
      id={id}
      className="input"
      type="text"
      value={typeof value === "string" ? value : ""}
      onChange={(event) => onChange(event.target.value === "" ? undefined : event.target.value)}
      aria-describedby={describedBy}
      aria-invalid={isInvalid}
      aria-required={field.isRequired}
    />
  );
}

/** One of the values of an enum. */
export function ChoiceField({
  id,
  value,
  onChange,
  describedBy,
  isInvalid,
  field,
  document,
}: WidgetProps): ReactNode {
  const choices = listChoices(field.schema, document);
  const index = choices.indexOf(value);
  return (
    <select
      id={id}
      className="input"
      value={index}
      onChange={(event) => onChange(choices[Number(event.target.value)])}
      aria-describedby={describedBy}
      aria-invalid={isInvalid}
    >
      {index === -1 ? <option value={-1}>not set</option> : null}
      {choices.map((choice, number) => (
        <option key={String(choice)} value={number}>
          {String(choice)}
        </option>
      ))}
    </select>
  );
}

export function SwitchField({ id, value, onChange, describedBy, isInvalid }: WidgetProps): ReactNode {
  return (
    <input
      id={id}
      className="switch"
      type="checkbox"
      role="switch"
      checked={value === true}
      aria-checked={value === true}
      onChange={(event) => onChange(event.target.checked)}
      aria-describedby={describedBy}
      aria-invalid={isInvalid}
    />
  );
}
