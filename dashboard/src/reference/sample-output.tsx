import type { ReactNode } from "react";
import { Link } from "wouter";
import { useSamples } from "../api/samples.ts";
import { CodeBlock } from "../code/code-block.tsx";

/** What the model really made on this server from the input example. */
export function SampleOutput(props: {
  readonly endpointId: string;
  /** The input example of the page. */
  readonly input: Readonly<Record<string, unknown>>;
}): ReactNode {
  const { endpointId, input } = props;
  const sample = useSamples().get(endpointId);
  if (sample === undefined || sample.state === "none") return null;
  return (
    <>
      <h3>Output example</h3>
      {sample.state === "ready" ? (
        <>
          <p>
            Made on this server by the model that answers
            {sample.request_id === null ? null : (
              <>
                , from {isSame(sample.input, input) ? "the input example" : "another input"}:{" "}
                <Link href={`/app/requests/${sample.request_id}`}>the request</Link>
              </>
            )}
            .
          </p>
          <CodeBlock code={JSON.stringify(sample.output, null, 2)} label="output example" />
        </>
      ) : (
        <p className="muted" role="status">
          {sample.state === "making"
            ? "It is being made by the model that answers …"
            : "The model did not answer the input example."}
        </p>
      )}
    </>
  );
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
