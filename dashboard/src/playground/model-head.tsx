import type { ReactNode } from "react";
import { Link } from "wouter";
import type { Model } from "../api/models.ts";
import { InlineCode } from "../shell/inline-code.tsx";

/** Name, what really answers, and the two views of an endpoint. */
export function ModelHead({
  model,
  view,
}: {
  readonly model: Model;
  readonly view: "playground" | "compare" | "api";
}): ReactNode {
  const { endpointId } = model;
  return (
    <div className="model-head">
      <div>
        <h1>
          {model.title} <code className="endpoint">{endpointId}</code>
        </h1>
        <p>
          <InlineCode text={model.description} />
        </p>
        <ModelFacts model={model} />
      </div>
      <nav className="views" aria-label="Views of this endpoint">
        <Link
          href={`/models/${endpointId}`}
          className="nav"
          aria-current={view === "playground" ? "page" : undefined}
        >
          Playground
        </Link>
        <Link
          href={`/app/compare/${endpointId}`}
          className="nav"
          aria-current={view === "compare" ? "page" : undefined}
        >
          Compare
        </Link>
        <Link
          href={`/models/${endpointId}/api`}
          className="nav"
          aria-current={view === "api" ? "page" : undefined}
        >
          API
        </Link>
        <a className="nav" href={`/models/${endpointId}/llms.txt`}>
          llms.txt
        </a>
      </nav>
    </div>
  );
}

/** Category, the model behind the name, and its licence, as small labels. */
export function ModelFacts({ model }: { readonly model: Model }): ReactNode {
  const { category, license, answeredBy } = model;
  return (
    <ul className="facts" aria-label="Facts">
      <li>{category}</li>
      {answeredBy === undefined ? null : (
        <li title={`Version ${answeredBy.version}`}>
          answered by <strong>{answeredBy.name}</strong> {answeredBy.version}
        </li>
      )}
      <li>{license === null ? "licence not stated" : `licence ${license}`}</li>
    </ul>
  );
}
