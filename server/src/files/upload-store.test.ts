import { openTestStorage } from "./testing/open-test-storage.ts";
import { testUploadStore } from "./testing/upload-store-conformance.ts";

testUploadStore("sqlite", () => openTestStorage());
