import type { ReactNode } from "react";
import type { Document } from "../api/models.ts";
import { describeLimits, describeType, listChoices, listFields, type Schema } from "../schema/schema.ts";
import { InlineCode } from "../shell/inline-code.tsx";

/** The fields of an object schema: names with `*` where required, types, defaults, ranges and values. */
export function SchemaTable(props: {
  readonly schema: Schema;
  readonly document: Document;
  readonly label: string;
}): ReactNode {
  const { schema, document, label } = props;
  const fields = listFields(schema, document);
  if (fields.length === 0) return <p className="muted">No fields are described.</p>;
  return (
    <dl className="fields" aria-label={label}>
      {fields.map(({ name, schema: field, written, isRequired }) => {
        const choices = listChoices(field, document);
        const limits = describeLimits(field);
        return (
          <div key={name} className="field">
            <dt>
              <code>
                {name}
                {isRequired ? <span title="required">*</span> : null}
              </code>{" "}
              <code className="type">{describeType(written, document)}</code>
            </dt>
            <dd>
              {field.description === undefined ? null : (
                <p>
                  <InlineCode text={field.description} />
                </p>
              )}
              {field.default === undefined ? null : (
                <p>
                  Default value: <code>{JSON.stringify(field.default)}</code>
                </p>
              )}
              {limits.length === 0 ? null : <p>Range: {limits.join(", ")}</p>}
              {choices.length === 0 ? null : (
                <p>
                  Possible values:{" "}
                  {choices.map((choice, index) => (
                    <span key={String(choice)}>
                      {index === 0 ? "" : ", "}
                      <code>{String(choice)}</code>
                    </span>
                  ))}
                </p>
              )}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}
