import { type ReactNode, useState } from "react";
import type { WidgetProps } from "./schema-form.tsx";

/** A number; with both limits also a slider. What is typed is sent as it is: the server says what is wrong with it. */
export function NumberField(props: WidgetProps): ReactNode {
  const { id, value, onChange, describedBy, isInvalid, field } = props;
  const { minimum, maximum, multipleOf, type } = field.schema;
  const step = multipleOf ?? (type === "integer" ? 1 : 0.1);
  const hasSlider = minimum !== undefined && maximum !== undefined;
  return (
    <div className="number">
      {hasSlider ? (
        <input
          className="slider"
          type="range"
          min={minimum}
          max={maximum}
          step={step}
          value={typeof value === "number" ? value : minimum}
          onChange={(event) => onChange(Number(event.target.value))}
          aria-label={`${field.schema.title ?? field.name} slider`}
          tabIndex={-1}
        />
      ) : null}
      <NumberInput
        id={id}
        value={value}
        onChange={onChange}
        describedBy={describedBy}
        isInvalid={isInvalid}
        isNarrow={hasSlider}
      />
    </div>
  );
}

/** Keeps what is typed while it is no number yet. */
export function NumberInput(props: {
  readonly id: string;
  readonly value: unknown;
  onChange(value: unknown): void;
  readonly describedBy?: string | undefined;
  readonly isInvalid?: boolean;
  readonly isNarrow?: boolean;
  readonly placeholder?: string;
  readonly label?: string;
  readonly isReadOnly?: boolean;
}): ReactNode {
  const { id, value, onChange } = props;
  const [typed, setTyped] = useState("");
  // What was typed stays as it was typed ("1.0") for as long as it means the value.
  const text = parse(typed) === value ? typed : String(value ?? "");
  return (
    <input
      id={id}
      className={props.isNarrow === true ? "input input-narrow" : "input"}
      type="text"
      inputMode="decimal"
      autoComplete="off"
      value={text}
      readOnly={props.isReadOnly}
      placeholder={props.placeholder}
      aria-label={props.label}
      aria-describedby={props.describedBy}
      aria-invalid={props.isInvalid}
      onChange={(event) => {
        setTyped(event.target.value);
        onChange(parse(event.target.value));
      }}
    />
  );
}

/** A number, the text when it is none yet, or nothing. */
function parse(text: string): number | string | undefined {
  if (text.trim() === "") return undefined;
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}
