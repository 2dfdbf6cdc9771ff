import * as snippets from "@sluice/protocol/snippets";
import { type ReactNode, useMemo } from "react";
import { findInputSchema, findOutputSchema, type Model } from "../api/models.ts";
import { CodeBlock } from "../code/code-block.tsx";
import { CodeTabs } from "../code/code-tabs.tsx";
import { createSample, listFields, resolve, type Schema } from "../schema/schema.ts";
import { SampleOutput } from "./sample-output.tsx";
import { SchemaTable } from "./schema-table.tsx";

/** How to call an endpoint, written from its OpenAPI document alone. */
export default function ApiPage({ model }: { readonly model: Model }): ReactNode {
  const { endpointId, document: openapi } = model;
  const inputSchema = useMemo(() => findInputSchema(model), [model]);
  const outputSchema = useMemo(() => findOutputSchema(model), [model]);
  const input = useMemo(() => createSample(inputSchema, openapi), [inputSchema, openapi]);
  const call = { origin: location.origin, endpointId, input };
  const others = useMemo(
    () => listOtherTypes([inputSchema, outputSchema], model),
    [inputSchema, outputSchema, model],
  );
  const fileFields = listFields(inputSchema, openapi).filter(({ name }) => /_url$/.test(name));
  return (
    <div className="reference">
      <nav className="contents" aria-label="On this page">
        <ol>
          {SECTIONS.map(([id, title]) => (
            <li key={id}>
              <a href={`#${id}`}>{title}</a>
            </li>
          ))}
        </ol>
      </nav>
      <article className="article">
        <section aria-labelledby="calling">
          <h2 id="calling">1. Calling the API</h2>
          <h3>Install the client</h3>
          <p>
            The official client works with this server; two lines of configuration point it here. Python, cURL
            and the command line need nothing.
          </p>
          <CodeBlock code="npm install @fal-ai/client" label="install" />
          <p>
            Ours takes the place of either official client, knows this server&apos;s endpoints by type, and is
            here without any registry:
          </p>
          <CodeBlock code={`npm install ${location.origin}/client.tgz`} label="install our client" />
          <h3>Set the key</h3>
          <p>
            A key looks like <code>id:secret</code>; <code>sluice keys create</code> makes one. Programs read
            it from <code>FAL_KEY</code>.
          </p>
          <CodeBlock code='export FAL_KEY="id:secret"' label="key" />
          <h3>Submit a request and wait for its result</h3>
          <CodeTabs call={call} />
          <h3>The queue, call by call</h3>
          <p>
            A submit answers at once; the request is the server&apos;s from then on. Ask for its status, or
            let a webhook tell you.
          </p>
          <CodeBlock code={snippets.formatSubmit(call)} label="submit" />
          <CodeBlock code={snippets.formatStatus(call)} label="status" />
          <CodeBlock code={snippets.formatResult(call)} label="result" />
          <CodeBlock code={snippets.formatCancel(call)} label="cancel" />
          <h3>Webhooks</h3>
          <p>
            With <code>fal_webhook</code> the result is delivered to an address of yours, signed; the public
            keys are at <code>/.well-known/jwks.json</code>.
          </p>
          <CodeBlock code={snippets.formatWebhook(call)} label="webhook" />
          <h3>Streaming</h3>
          <p>Server-sent events: previews while the request runs, the whole output last.</p>
          <CodeBlock code={snippets.formatStream(call)} label="stream" />
          <h3>Realtime</h3>
          <p>
            One WebSocket for many inputs, each answered by its output:{" "}
            <code>/run/{endpointId}/realtime</code>. Pages use a temporary token in place of the key.
          </p>
          <CodeBlock code={snippets.formatRealtime(call)} label="realtime" />
        </section>

        <section aria-labelledby="authentication">
          <h2 id="authentication">2. Authentication</h2>
          <p>
            Every call carries a key of this server in a header. A missing or unknown key is answered with
            401.
          </p>
          <CodeBlock code="Authorization: Key id:secret" label="header" />
          <p className="notice">
            Keep keys out of pages and apps that you give to others: whoever has the key can use this server.
            Let your own server make the calls, for example with <code>@sluice/proxy</code>.
          </p>
        </section>

        <section aria-labelledby="files">
          <h2 id="files">3. Files</h2>
          <p>
            {fileFields.length === 0
              ? "This endpoint takes no files. Where one does, its fields take"
              : `The fields ${fileFields.map(({ name }) => name).join(", ")} take`}{" "}
            a data URI, the URL of a hosted file, or the URL of a file that was uploaded before. Clients
            upload <code>File</code> and <code>Blob</code> values in an input by themselves.
          </p>
          <CodeBlock code={snippets.formatUpload(call)} label="upload" />
        </section>

        <section aria-labelledby="schema">
          <h2 id="schema">4. Schema</h2>
          <h3>Input</h3>
          <SchemaTable schema={inputSchema} document={openapi} label="Input fields" />
          <h3>Input example</h3>
          <CodeBlock code={JSON.stringify(input, null, 2)} label="input example" />
          <h3>Output</h3>
          <SchemaTable schema={outputSchema} document={openapi} label="Output fields" />
          <SampleOutput endpointId={endpointId} input={input} />
          {others.map(([name, schema]) => (
            <div key={name}>
              <h3>{name}</h3>
              <SchemaTable schema={schema} document={openapi} label={`Fields of ${name}`} />
            </div>
          ))}
          <p>
            The same for programs:{" "}
            <a href={`/api/openapi/queue/openapi.json?endpoint_id=${encodeURIComponent(endpointId)}`}>
              OpenAPI
            </a>{" "}
            and <a href={`/models/${endpointId}/llms.txt`}>llms.txt</a>.
          </p>
        </section>
      </article>
    </div>
  );
}

const SECTIONS = [
  ["calling", "Calling the API"],
  ["authentication", "Authentication"],
  ["files", "Files"],
  ["schema", "Schema"],
] as const;

/** The named object types that input and output refer to. */
function listOtherTypes(
  schemas: readonly Schema[],
  { document }: Model,
): readonly (readonly [string, Schema])[] {
  const found = new Map<string, Schema>();
  const visit = (schema: Schema): void => {
    const name = schema.$ref?.split("/").at(-1);
    if (name !== undefined) {
      if (found.has(name)) return;
      const target = resolve(schema, document);
      if (target.properties !== undefined) found.set(name, target);
      visit(target);
      return;
    }
    for (const inner of [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])])
      visit(inner);
    if (schema.items !== undefined) visit(schema.items);
    for (const inner of Object.values(schema.properties ?? {})) visit(inner);
  };
  for (const schema of schemas) visit(schema);
  return [...found];
}
