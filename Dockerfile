# syntax=docker/dockerfile:1

# The gateway for production: without the sandbox, built from the lock file, running as nobody in particular.
#
#   docker build --tag portal-gateway .

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The registry and the target directory stay with the builder: a change of the source recompiles the source alone.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --no-default-features --bin portal-gateway \
    && install -D target/release/portal-gateway /out/portal-gateway \
    && install -d /out/data

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 65532 --no-create-home --shell /usr/sbin/nologin gateway
LABEL org.opencontainers.image.title="portal-gateway" \
      org.opencontainers.image.description="One GraphQL API over the billing, CRM and mobile systems of a telecom customer portal" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/portal-gateway /usr/local/bin/portal-gateway
# For an SQLite file and for keys that the gateway makes itself; production uses neither.
COPY --from=build --chown=65532:65532 /out/data /data
WORKDIR /data
USER 65532:65532
# A container is reached from outside it.
ENV BIND=0.0.0.0 \
    DATA_DIR=/data \
    DATABASE_URL=sqlite:/data/portal.db
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["/usr/local/bin/portal-gateway", "health"]
ENTRYPOINT ["/usr/local/bin/portal-gateway"]
CMD ["serve"]
