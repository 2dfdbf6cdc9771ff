import { testFileStore } from "./testing/file-store-conformance.ts";
import { openTestStorage } from "./testing/open-test-storage.ts";

testFileStore("sqlite", () => openTestStorage());
