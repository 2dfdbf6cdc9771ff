import { openTestStorage } from "../files/testing/open-test-storage.ts";
import { testWebhookInbox } from "./testing/inbox-conformance.ts";

testWebhookInbox(() => openTestStorage());
