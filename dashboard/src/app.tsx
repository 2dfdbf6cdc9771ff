import { lazy, type ReactNode, Suspense, useEffect } from "react";
import { Link, Route, Switch, useLocation } from "wouter";
import { useModels } from "./api/models.ts";
import { Gallery } from "./gallery/gallery.tsx";
import { ModelHead } from "./playground/model-head.tsx";
import { Playground } from "./playground/playground.tsx";
import { Header } from "./shell/header.tsx";
import { SignInDialog } from "./shell/sign-in.tsx";

const ApiPage = lazy(() => import("./reference/api-page.tsx"));
const RequestsPage = lazy(() => import("./requests/requests-page.tsx"));
const RequestPage = lazy(() => import("./requests/request-page.tsx"));
const KeysPage = lazy(() => import("./keys/keys-page.tsx"));
const QueuesPage = lazy(() => import("./queues/queues-page.tsx"));

export function App(): ReactNode {
  return (
    <>
      <Header />
      <main id="main" tabIndex={-1}>
        <Suspense fallback={<p className="empty">Loading …</p>}>
          <Switch>
            <Route path="/">
              <Gallery />
            </Route>
            <Route path="/models/*">{(params) => <ModelPage path={params["*"]} />}</Route>
            <Route path="/app/requests" component={RequestsPage} />
            <Route path="/app/requests/:id">{({ id }) => <RequestPage key={id} id={id} />}</Route>
            <Route path="/app/keys" component={KeysPage} />
            <Route path="/app/queues" component={QueuesPage} />
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

function ModelPage({ path }: { readonly path: string }): ReactNode {
  const models = useModels();
  const [location] = useLocation();
  const plain = path.replace(/\/$/, "");
  const found =
    models.state === "loaded"
      ? (models.value.find(({ endpointId }) => endpointId === plain) ??
        models.value.find(({ endpointId }) => `${endpointId}/api` === plain))
      : undefined;
  useEffect(() => {
    if (found !== undefined) document.title = `${found.endpointId} · Sluice`;
  }, [found]);
  if (models.state === "loading") return <p className="empty">Loading …</p>;
  if (models.state === "failed") return <Missing>{models.message}</Missing>;
  if (found === undefined) return <Missing>This server does not offer {plain}.</Missing>;
  const isApi = found.endpointId !== plain;
  return (
    <div className="page">
      <ModelHead model={found} view={isApi ? "api" : "playground"} />
      {isApi ? (
        <ApiPage model={found} />
      ) : (
        <Playground key={`${location}`} model={found} models={models.value} />
      )}
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
