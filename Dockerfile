# One image for the whole mesh: every binary of cmd/ in /bin, nothing else.
# There is no "# syntax=" line on purpose: that frontend image would have to be
# pulled, and this file must also build where no container registry is in reach.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    mkdir -p /out/bin /out/data && \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o /out/bin/ ./cmd/...

FROM scratch
COPY --from=build /out/bin/ /bin/
# A named volume mounted here starts with this owner, so that the provider's
# ledger can be written without root.
COPY --from=build --chown=65532:65532 /out/data/ /data/
USER 65532:65532
ENV KITMESH_RPC=0.0.0.0:7000 \
    KITMESH_ADMIN=0.0.0.0:7001
EXPOSE 7000 7001 8080
# Health checks are in docker-compose.yml: each role of the image has its own.
ENTRYPOINT ["/bin/kitmesh"]
