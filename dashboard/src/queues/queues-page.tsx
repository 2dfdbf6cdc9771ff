import { type ReactNode, useEffect } from "react";
import { useSession } from "../api/session.ts";
import { SignInNotice } from "../shell/sign-in.tsx";
import "../styles/operations.css";
import { Leases } from "./leases.tsx";
import { Machines } from "./machines.tsx";
import { Queues } from "./queues.tsx";

/** What waits, who works on it, and on what machine; pause an endpoint, drain the machine. */
export default function QueuesPage(): ReactNode {
  const session = useSession();
  useEffect(() => {
    document.title = "Queues and machines · Sluice";
  }, []);
  return (
    <div className="page operations">
      <h1>Queues and machines</h1>
      {session?.scope === "ADMIN" ? (
        <>
          <Queues />
          <Machines />
          <Leases />
        </>
      ) : (
        <SignInNotice>
          Queues and machines are an operator&apos;s: sign in with a key of scope ADMIN.
        </SignInNotice>
      )}
    </div>
  );
}
