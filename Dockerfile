# One machine, embedded store: docker build -t sluice . && docker run -p 7777:7777 -v sluice:/data sluice
FROM node:24-bookworm-slim AS app
WORKDIR /app
COPY . .
RUN npm ci --no-audit --no-fund --ignore-scripts && node scripts/build-dashboard.ts

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY protocol/package.json protocol/
COPY client/package.json client/
COPY proxy/package.json proxy/
COPY runtime/package.json runtime/
COPY models/package.json models/
COPY server/package.json server/
COPY dashboard/package.json dashboard/
COPY cli/package.json cli/
RUN npm ci --omit=dev --no-audit --no-fund
COPY . .
COPY --from=app /app/dashboard/dist dashboard/dist
# Only this platform's part of the inference library is needed.
RUN cd node_modules/onnxruntime-node/bin/napi-v6 && find . -mindepth 2 -maxdepth 2 ! -path "./linux/$(node -p process.arch)" -exec rm -rf {} +

FROM node:24-bookworm-slim
ENV NODE_ENV=production SLUICE_HOST=0.0.0.0 SLUICE_PORT=7777 SLUICE_DATA=/data
WORKDIR /app
COPY --from=build /app /app
# `docker exec … sluice keys create` and what the server tells to type.
RUN ln -s /app/cli/src/launch.mjs /usr/local/bin/sluice && mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 7777
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:7777/ready').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["node", "--disable-warning=ExperimentalWarning", "cli/src/main.ts"]
CMD ["serve"]
