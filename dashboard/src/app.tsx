import { lazy, type ReactNode, Suspense, useEffect, useRef, useState } from "react";
import { Link, Route, Switch, useLocation } from "wouter";
import { useModels } from "./api/models.ts";
import { Gallery } from "./gallery/gallery.tsx";
import { ModelHead } from "./playground/model-head.tsx";
import { Playground } from "./playground/playground.tsx";
import { Header } from "./shell/header.tsx";
import { SignInDialog } from "./shell/sign-in.tsx";

const ApiPage = lazy(() => import("./reference/api-page.tsx"));
const ComparePage = lazy(() => import("./compare/compare-page.tsx"));
const RequestsPage = lazy(() => import("./requests/requests-page.tsx"));
const RequestPage = lazy(() => import("./requests/request-page.tsx"));
const FilesPage = lazy(() => import("./files/files-page.tsx"));
const KeysPage = lazy(() => import("./keys/keys-page.tsx"));
const UsagePage = lazy(() => import("./usage/usage-page.tsx"));
const InboxPage = lazy(() => import("./inbox/inbox-page.tsx"));
const QueuesPage = lazy(() => import("./queues/queues-page.tsx"));

export function App(): ReactNode {
  return (
    <>
      <Header />
      <Arrival />
      <main id="main" tabIndex={-1}>
        <Suspense fallback={<p className="empty">Loading …</p>}>
          <Switch>
            <Route path="/">
              <Gallery />
            </Route>
            <Route path="/models/*">{(params) => <ModelPage path={params["*"]} view="playground" />}</Route>
            <Route path="/app/compare/*">{(params) => <ModelPage path={params["*"]} view="compare" />}</Route>
            <Route path="/app/requests" component={RequestsPage} />
            <Route path="/app/requests/:id">{({ id }) => <RequestPage key={id} id={id} />}</Route>
            <Route path="/app/files" component={FilesPage} />
            <Route path="/app/usage" component={UsagePage} />
            <Route path="/app/keys" component={KeysPage} />
            <Route path="/app/queues" component={QueuesPage} />
            <Route path="/app/webhooks" component={InboxPage} />
            <Route>
              <Missing>There is no such page.</Missing>
            </Route>
          </Switch>
        </Suspense>
      </main>
      <SignInDialog />
    </>
  );
}

/** A new page begins at its top, and the keyboard in it, as if it had been loaded. */
function Arrival(): ReactNode {
  const [location] = useLocation();
  const [first] = useState(location);
  const hasMoved = useRef(false);
  useEffect(() => {
    hasMoved.current ||= location !== first;
    if (!hasMoved.current) return;
    window.scrollTo(0, 0);
    document.getElementById("main")?.focus({ preventScroll: true });
  }, [location, first]);
  return null;
}

function ModelPage(props: { readonly path: string; readonly view: "playground" | "compare" }): ReactNode {
  const models = useModels();
  const [location] = useLocation();
  const path = props.path.replace(/\/$/, "");
  const list = models.state === "loaded" ? models.value : [];
  const plain = list.find(({ endpointId }) => endpointId === path);
  // An endpoint may itself be called api: its own page comes first.
  const found = plain ?? list.find(({ endpointId }) => `${endpointId}/api` === path);
  useEffect(() => {
    if (found !== undefined) document.title = `${found.endpointId} · Sluice`;
  }, [found]);
  if (models.state === "loading") return <p className="empty">Loading …</p>;
  if (models.state === "failed") return <Missing>{models.message}</Missing>;
  if (found === undefined) return <Missing>This server does not offer {path}.</Missing>;
  const view = plain === undefined ? "api" : props.view;
  return (
    <div className="page">
      <ModelHead model={found} view={view} />
      {view === "api" ? <ApiPage model={found} /> : null}
      {view === "compare" ? <ComparePage key={location} model={found} /> : null}
      {view === "playground" ? <Playground key={location} model={found} models={models.value} /> : null}
    </div>
  );
}

function Missing({ children }: { readonly children: ReactNode }): ReactNode {
  return (
    <div className="page">
      <div className="panel empty">
        <p role="alert">{children}</p>
        <Link href="/">All models</Link>
      </div>
    </div>
  );
}
