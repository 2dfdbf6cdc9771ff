import type { ReactNode } from "react";
import type { Document } from "../api/models.ts";
import { describeLimits, type Field, listBranches, type Schema } from "../schema/schema.ts";
import { FileField } from "./file-field.tsx";
import type { Values } from "./form-values.ts";
import { ImageSizeField } from "./image-size-field.tsx";
import { JsonField } from "./json-field.tsx";
import { NumberField } from "./number-field.tsx";
import { SeedField } from "./seed-field.tsx";
import { ChoiceField, PromptField, SwitchField, TextField } from "./text-fields.tsx";

/** What every widget is given. `id` names its main control, for the label. */
export interface WidgetProps {
  readonly id: string;
  readonly field: Field;
  readonly document: Document;
  readonly value: unknown;
  /** `undefined`: not given. */
  onChange(value: unknown): void;
  /** Ids of the texts that describe the control, and whether it was refused. */
  readonly describedBy: string | undefined;
  readonly isInvalid: boolean;
  /** Of the last result, when it has one. */
  readonly lastSeed: number | undefined;
}

/** A form of the fields in their declared order, each with its own kind of control. */
export function SchemaForm(props: {
  readonly fields: readonly Field[];
  readonly document: Document;
  readonly values: Values;
  readonly problems: Readonly<Record<string, string>>;
  readonly lastSeed: number | undefined;
  onChange(values: Values): void;
}): ReactNode {
  const { fields, document, values, problems, lastSeed, onChange } = props;
  const shown = fields.filter(({ schema }) => schema.ui?.hidden !== true);
  return shown.map((field) => {
    const { name } = field;
    const change = (value: unknown): void => {
      const { [name]: _, ...rest } = values;
      onChange(value === undefined ? rest : { ...rest, [name]: value });
    };
    return (
      <FormRow
        key={name}
        field={field}
        document={document}
        value={values[name]}
        problem={problems[name]}
        lastSeed={lastSeed}
        onChange={change}
      />
    );
  });
}

function FormRow(props: {
  readonly field: Field;
  readonly document: Document;
  readonly value: unknown;
  readonly problem: string | undefined;
  readonly lastSeed: number | undefined;
  onChange(value: unknown): void;
}): ReactNode {
  const { field, document, value, problem, lastSeed, onChange } = props;
  const { name, schema, isRequired } = field;
  const id = `field-${name}`;
  const limits = describeLimits(schema).filter((limit) => limit !== "at least 1 character");
  const hint = [
    schema.description ?? "",
    ...limits.map((limit) => `${limit.charAt(0).toUpperCase()}${limit.slice(1)}.`),
  ]
    .filter(Boolean)
    .join(" ");
  const describedBy =
    [hint === "" ? "" : `${id}-hint`, problem === undefined ? "" : `${id}-problem`]
      .filter(Boolean)
      .join(" ") || undefined;
  const kind = chooseWidget(field, document);
  const Widget = WIDGETS[kind];
  const isInline = kind === "switch";
  return (
    <div className={`row${isInline ? " row-inline" : ""}${problem === undefined ? "" : " row-refused"}`}>
      <label htmlFor={id} className="row-label">
        {schema.title ?? name}
        {isRequired ? (
          <span className="required" title="required">
            {" "}
            *
          </span>
        ) : null}
        <code className="row-name">{name}</code>
      </label>
      <Widget
        id={id}
        field={field}
        document={document}
        value={value}
        onChange={onChange}
        describedBy={describedBy}
        isInvalid={problem !== undefined}
        lastSeed={lastSeed}
      />
      {problem === undefined ? null : (
        <p className="problem" id={`${id}-problem`}>
          {problem}
        </p>
      )}
      {hint === "" ? null : (
        <p className="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

type WidgetKind = "prompt" | "text" | "choice" | "switch" | "number" | "seed" | "size" | "file" | "json";

const WIDGETS: Readonly<Record<WidgetKind, (props: WidgetProps) => ReactNode>> = {
  prompt: PromptField,
  text: TextField,
  choice: ChoiceField,
  switch: SwitchField,
  number: NumberField,
  seed: SeedField,
  size: ImageSizeField,
  file: FileField,
  json: JsonField,
};

/** By what the schema says, and by the names that the fal world gives to prompts, seeds and files. */
export function chooseWidget({ name, schema }: Field, document: Document): WidgetKind {
  const branches = listBranches(schema, document);
  if (branches.some(isPixelSize) && branches.some((branch) => branch.enum !== undefined)) return "size";
  const plain = branches.length === 1 ? { ...branches[0], ...schema } : schema;
  if (plain.enum !== undefined) return "choice";
  switch (plain.type) {
    case "boolean":
      return "switch";
    case "integer":
      return name === "seed" ? "seed" : "number";
    case "number":
      return "number";
    case "string":
      if (plain.ui?.field !== undefined || /(?:^|_)(?:image|video|audio|file|mask)_url$/.test(name))
        return "file";
      return /prompt|^text$/.test(name) ? "prompt" : "text";
    default:
      return "json";
  }
}

function isPixelSize({ properties }: Schema): boolean {
  return properties?.["width"] !== undefined && properties["height"] !== undefined;
}
