import assert from "node:assert/strict";
import { test } from "node:test";
import { findReason, isMemoryError } from "./native-error.ts";

const CALLER =
  "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:121 std::conditional_t<THRW, void, " +
  "onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, const char*, ERRTYPE, const char*, " +
  "const char*, int) [with ERRTYPE = cublasStatus_t; bool THRW = true] ";

test("what graphics cards say when their memory ran out is known", () => {
  for (const said of [
    "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 13111296",
    "CUDA failure 2: out of memory ; GPU=0",
    `${CALLER}CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_);`,
    "Exception(3) tid(4304) 8007000E Not enough memory resources are available to complete this operation.",
  ])
    assert(isMemoryError(new Error(said)), said);
  assert(!isMemoryError(new Error("CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; GPU=0")));
});

test("the reason is what the driver says, else the first line", () => {
  for (const [said, reason] of [
    [
      `${CALLER}CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=h`,
      "CUDA failure 100: no CUDA-capable device is detected",
    ],
    ["Failed to get a WebGPU adapter.\n  at somewhere", "Failed to get a WebGPU adapter"],
    ["x".repeat(1000), "x".repeat(300)],
    ["", ""],
  ] as const)
    assert.equal(findReason(new Error(said)), reason);
});
