/** What the app's addresses answer while the app is not built: the API works without it. */
export const NOT_BUILT_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice</title>
</head>
<body>
<h1>Sluice is running</h1>
<p>The API takes requests. The web app is not built yet. In the clone, run</p>
<pre>npm run build -w @sluice/dashboard</pre>
<p>and start the server again; <code>npm start</code> does both.</p>
<p>Until then: <a href="/llms.txt">the endpoints of this server</a> and <a href="/v1/openapi.json">its platform API</a>.</p>
</body>
</html>
`;
