# Silta in a container: the production bundle on Node, nothing else.
#
#   docker build -t silta .
#   docker run --read-only --tmpfs /tmp -v silta-data:/data -v ./silta.yaml:/silta/silta.yaml:ro -p 8480:8480 silta
#   docker run --rm … silta check          (and registration, help)
#
# It runs as a user without rights, writes to /data only, and ends in order on SIGTERM within shutdown.graceSeconds: give it
# that much and a little more (docker stop --time 30).

ARG NODE=24.21.0

FROM node:${NODE}-bookworm-slim AS build
WORKDIR /silta
# What changes seldom comes first: the packages are installed again only when their list or a patch changes.
COPY package.json package-lock.json .npmrc ./
COPY patches patches
COPY scripts/bootstrap.mjs scripts/bootstrap.mjs
RUN node scripts/bootstrap.mjs
COPY . .
RUN npm run build

FROM node:${NODE}-bookworm-slim
WORKDIR /silta
COPY --from=build /silta/dist dist
COPY --from=build /silta/config config
COPY --from=build /silta/schemas schemas
RUN install -d -o node -g node -m 0700 /data
ENV NODE_ENV=production \
    SILTA_DATA_DIRECTORY=/data \
    SILTA_LISTEN_HOST=0.0.0.0 \
    SILTA_LISTEN_PORT=8480
VOLUME /data
EXPOSE 8480
USER node
STOPSIGNAL SIGTERM
# Whether the process lives: one that is not ready waits for its database, and starting it anew would not help. A first start creates
# the embedded database, which takes some seconds.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.SILTA_LISTEN_PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/silta/dist/silta.js"]
CMD ["serve"]
