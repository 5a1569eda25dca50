# syntax=docker/dockerfile:1

# Builds dist/ with everything that takes: TypeScript, esbuild, the type-checked browser bundles.
FROM node:20-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build

# Compiles the native plane, for this architecture.
FROM node:20-bookworm AS native
WORKDIR /src
COPY package.json package-lock.json build-native.mjs ./
COPY relay/planes/native/addon relay/planes/native/addon
RUN npm ci --omit=dev --ignore-scripts && node build-native.mjs --required

# The packages that run. The embedded ClickHouse (540 MB) stays out: this image's roles are given a server by URL.
# `--omit=optional` would be shorter, but takes the prebuilt parts of other packages with it.
FROM node:20-bookworm-slim AS packages
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts && rm -rf node_modules/@chdb

FROM node:20-bookworm-slim
# Nothing is installed here, so the tools that could are not here either.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
      /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn-* \
  && install -d -o node -g node -m 0700 /data \
  && install -d -o node -g node -m 0755 /dashboards
WORKDIR /app
COPY --from=packages /src/node_modules node_modules
COPY --from=build /src/dist dist
COPY --from=native /src/build build
COPY package.json LICENSE ./
ENV NODE_ENV=production \
    TURNPIKE_DATA=/data \
    HEALTH_URL=http://127.0.0.1:8080/healthz
USER node
VOLUME /data
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(process.env.HEALTH_URL).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/cli/main.js"]
CMD ["--help"]
