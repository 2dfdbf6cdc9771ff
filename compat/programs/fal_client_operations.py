"""PyPI's `fal-client` 1.0, its blocking or its asyncio surface (first argument: sync or async).

Recipe: two variables, read at import, name the hosts; two constants lead uploads and tokens here (RECIPE_URL). Under
`sluice exec` none of this is set. It prints one line of JSON per operation.
"""

import asyncio
import inspect
import json
import os
import sys
import tempfile
import threading
import traceback
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

RECIPE_URL = os.environ.get("RECIPE_URL")
if RECIPE_URL is not None:
    host = RECIPE_URL.split("://")[1]
    os.environ["FAL_RUN_HOST"] = f"{host}/run"
    os.environ["FAL_QUEUE_RUN_HOST"] = f"{host}/queue"

import fal_client
import fal_client.client

if RECIPE_URL is not None:
    fal_client.client.REST_URL = f"{RECIPE_URL}/rest"
    fal_client.client.CDN_URL = f"{RECIPE_URL}/cdn"

IS_ASYNC = sys.argv[1] == "async"
ENDPOINT = "fal-ai/flux/schnell"
PICTURE = {"prompt": "a red apple", "image_size": "square", "num_inference_steps": 2, "seed": 7}
WRONG_KEY = "11111111-2222-3333-4444-555555555555:0123456789abcdef0123456789abcdef"
MIB = 1024 * 1024
TIMEOUT_S = 60


def call(name, *args, **options):
    """The function of the chosen surface."""
    return getattr(fal_client, f"{name}_async" if IS_ASYNC else name)(*args, **options)


async def value(result):
    """A result of either surface."""
    return await result if inspect.isawaitable(result) else result


async def items(result):
    """The items of an iterator of either surface."""
    if hasattr(result, "__aiter__"):
        return [item async for item in result]
    return list(result)


def download(url):
    with urllib.request.urlopen(url) as response:
        return response.headers["content-type"], response.read()


def assert_picture(output):
    (image,) = output["images"]
    assert (image["width"], image["height"], output["seed"]) == (512, 512, 7), output
    content_type, data = download(image["url"])
    assert content_type == "image/jpeg" and data[:2] == b"\xff\xd8"


async def run():
    assert_picture(await value(call("run", ENDPOINT, PICTURE)))


async def subscribe():
    seen, lines = [], []

    def on_update(status):
        seen.append(status)
        lines.extend(line["message"] for line in getattr(status, "logs", None) or [])

    output = await value(call("subscribe", ENDPOINT, PICTURE, with_logs=True, on_queue_update=on_update))
    assert_picture(output)
    assert isinstance(seen[-1], fal_client.Completed), seen
    assert lines, "log lines arrive"


async def queue_calls():
    handle = await value(call("submit", ENDPOINT, PICTURE))
    while not isinstance(await value(call("status", ENDPOINT, handle.request_id, with_logs=True)), fal_client.Completed):
        await asyncio.sleep(0.05)
    assert_picture(await value(handle.get()))
    assert_picture(await value(call("result", ENDPOINT, handle.request_id)))


async def stream():
    events = await items(call("stream", ENDPOINT, {**PICTURE, "num_inference_steps": 4}))
    assert len(events) > 0
    assert_picture(events[-1])


async def upload(size):
    data = os.urandom(size)
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(data)
        file.flush()
        url = await value(call("upload_file", file.name))
    content_type, stored = download(url)
    assert content_type == "image/png", content_type
    assert stored == data, "the same bytes come back"


async def cancel():
    handle = await value(call("submit", "test/slow-card", {"name": "long", "ms": 10000}))
    await value(handle.cancel())
    try:
        await value(handle.get())
    except fal_client.FalClientHTTPError as error:
        assert error.status_code == 499, error
    else:
        raise AssertionError("a cancelled request has no result")


async def webhook():
    posts = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            posts.append((self.headers, json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/hook"
    handle = await value(call("submit", ENDPOINT, PICTURE, webhook_url=url))
    for _ in range(TIMEOUT_S * 20):
        if posts:
            break
        await asyncio.sleep(0.05)
    server.shutdown()
    headers, body = posts[0]
    assert body["request_id"] == handle.request_id and body["status"] == "OK", body
    assert len(headers["x-fal-webhook-signature"]) == 128
    assert_picture(body["payload"])


async def realtime(use_jwt):
    connection = call("realtime", ENDPOINT, use_jwt=use_jwt)
    if IS_ASYNC:
        async with connection as opened:
            await opened.send(PICTURE)
            result = await opened.recv()
    else:
        with connection as opened:
            opened.send(PICTURE)
            result = opened.recv()
    assert result["seed"] == 7 and len(result["images"]) == 1, result


async def bad_input():
    try:
        await value(call("subscribe", ENDPOINT, {"prompt": "x", "num_images": 99}))
    except fal_client.FalClientHTTPError as error:
        assert error.status_code == 422, error
        assert error.response.json()["detail"][0]["loc"] == ["body", "num_images"]
    else:
        raise AssertionError("it should have been refused")


async def wrong_key():
    client = (fal_client.AsyncClient if IS_ASYNC else fal_client.SyncClient)(key=WRONG_KEY)
    try:
        await value(client.run(ENDPOINT, PICTURE))
    except fal_client.FalClientHTTPError as error:
        assert error.status_code == 401, error
    else:
        raise AssertionError("it should have been refused")


OPERATIONS = {
    "run": run,
    "subscribe (polling)": subscribe,
    "queue calls": queue_calls,
    "stream": stream,
    "realtime": lambda: realtime(True),
    "realtime without a token": lambda: realtime(False),
    "upload, small": lambda: upload(300_000),
    "upload, 120 MB": lambda: upload(120 * MIB),
    "cancel": cancel,
    "webhook": webhook,
    "bad input (422)": bad_input,
    "wrong key (401)": wrong_key,
}


async def main():
    for operation, perform in OPERATIONS.items():
        line = {"operation": operation, "ok": True}
        try:
            await asyncio.wait_for(perform(), TIMEOUT_S)
        except BaseException:
            line = {"operation": operation, "ok": False, "error": traceback.format_exc()}
        print(json.dumps(line), flush=True)


asyncio.run(main())
